#include "ops/norm_quantize/norm_quantize.h"

#include <fmt/format.h>

#include "ir/op_sample.h"
#include "ops/add/add.h"
#include "ops/fake_checks.h"
#include "ops/quantize/quantize_checks.h"
#include "ops/rms_norm/rms_norm.h"

namespace musaic {
namespace {

void expect_rows(const FakeCall& call, int input) {
  expect_rank(call, input, 2);
  expect_dtype(call, input, DType::kF32);
  expect_dense_rows(call, input);
}

void expect_weight(const FakeCall& call, int weight) {
  expect_float(call, weight);
  expect_shape(call, weight, {call.input(0).dim(1)});
  expect_contiguous(call, weight);
}

std::vector<FakeOutput> fake_norm_quantize(const FakeCall& call) {
  expect_rows(call, 0);
  expect_weight(call, 1);
  return fake_quantized_rows(call, 0, call.input(0).shape);
}

std::vector<FakeOutput> fake_add_norm_quantize(const FakeCall& call) {
  expect_rows(call, 0);
  expect_rows(call, 1);
  expect_shape(call, 1, call.input(0).shape);
  expect_weight(call, 2);
  return fake_quantized_rows(call, 0, call.input(0).shape);
}

std::vector<Value> decompose_norm_quantize(GraphBuilder&, std::span<const Value> inputs,
                                           const Attributes& attributes) {
  const QuantizedRows rows = quantize_q8(rms_norm(inputs[0], inputs[1], attributes.get_float("eps")));
  return {rows.q, rows.scale, rows.sums};
}

std::vector<Value> decompose_add_norm_quantize(GraphBuilder&, std::span<const Value> inputs,
                                               const Attributes& attributes) {
  const Value residual = add(inputs[0], inputs[1]);
  const QuantizedRows rows = quantize_q8(rms_norm(residual, inputs[2], attributes.get_float("eps")));
  return {rows.q, rows.scale, rows.sums, residual};
}

// Per value: 4 of the norm, 4 of the quantization.
void cost_norm_quantize(const CostQuery& query, CallCost& cost) {
  cost.float_ops = 8.0 * query.elements(0);
}

void cost_add_norm_quantize(const CostQuery& query, CallCost& cost) {
  cost.float_ops = 9.0 * query.elements(0);
}

constexpr int64_t kSampleWidth = 96;

std::vector<SampleOutput> quantized_outputs(int64_t rows) {
  const Shape blocks = {rows, kSampleWidth / QuantizedRows::kBlock};
  return {{DType::kI8, {rows, kSampleWidth}}, {DType::kF32, blocks}, {DType::kF32, blocks}};
}

SampleInput sample_rows(int64_t rows, uint32_t seed) {
  return {HostTensor::random(DType::kF32, {rows, kSampleWidth}, seed, 3, kSampleWidth + 8), true};
}

// `adds`: with a residual.
std::vector<OpSample> norm_samples(bool adds) {
  std::vector<OpSample> samples;
  for (DType weight : {DType::kF32, DType::kF16, DType::kBF16}) {
    for (int64_t rows : {0, 1, 5}) {
      OpSample sample{.name = fmt::format("{} weight, {} rows with gaps", name(weight), rows),
                      .inputs = {sample_rows(rows, 1)},
                      .attributes = {{"eps", 1e-5}},
                      .outputs = quantized_outputs(rows)};
      if (adds) sample.inputs.push_back(sample_rows(rows, 2));
      sample.inputs.push_back({HostTensor::random(weight, {kSampleWidth}, 3)});
      samples.push_back(std::move(sample));
    }
  }
  return samples;
}

std::vector<OpSample> norm_quantize_samples() {
  return norm_samples(false);
}

std::vector<OpSample> add_norm_quantize_samples() {
  return norm_samples(true);
}

}  // namespace

QuantizedRows rms_norm_quantize_q8(Value x, Value weight, double eps) {
  const auto out = x.builder().call("musaic::rms_norm_quantize_q8", {x, weight}, {{"eps", eps}});
  return {.q = out[0], .scale = out[1], .sums = out[2]};
}

AddNormQuantized add_rms_norm_quantize_q8(Value x, Value residual, Value weight, double eps) {
  const auto out =
      x.builder().call("musaic::add_rms_norm_quantize_q8", {x, residual, weight}, {{"eps", eps}});
  return {.rows = {.q = out[0], .scale = out[1], .sums = out[2]}, .residual = out[3]};
}

void define_norm_quantize(OpRegistry& registry) {
  registry.define(
      "musaic::rms_norm_quantize_q8(Tensor x, Tensor weight, float eps) -> (Tensor q, Tensor scale, Tensor "
      "sums)",
      {.schema = {},
       .fake = fake_norm_quantize,
       .decomposition = decompose_norm_quantize,
       .samples = norm_quantize_samples,
       .cost = cost_norm_quantize});
  registry.define(
      "musaic::add_rms_norm_quantize_q8(Tensor x, Tensor(a!) residual, Tensor weight, float eps) -> "
      "(Tensor q, Tensor scale, Tensor sums)",
      {.schema = {},
       .fake = fake_add_norm_quantize,
       .decomposition = decompose_add_norm_quantize,
       .samples = add_norm_quantize_samples,
       .cost = cost_add_norm_quantize});
}

}  // namespace musaic
