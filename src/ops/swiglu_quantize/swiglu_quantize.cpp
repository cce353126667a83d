#include "ops/swiglu_quantize/swiglu_quantize.h"

#include <fmt/format.h>

#include "ir/op_sample.h"
#include "ops/fake_checks.h"
#include "ops/quantize/quantize_checks.h"
#include "ops/swiglu/swiglu.h"
#include "ops/view/view.h"

namespace musaic {
namespace {

std::vector<FakeOutput> fake_swiglu_quantize(const FakeCall& call) {
  expect_rank(call, 0, 2);
  expect_dtype(call, 0, DType::kF32);
  expect_dense_rows(call, 0);
  const int64_t width = constant_dim(call, 0, 1);
  if (width % 2 != 0) fail_argument(call, 0, "an even last dimension");
  return fake_quantized_rows(call, 0, {call.input(0).dim(0), Dim(width / 2)});
}

std::vector<Value> decompose_swiglu_quantize(GraphBuilder&, std::span<const Value> inputs,
                                             const Attributes&) {
  const Value x = inputs[0];
  const int64_t width = x.dim(1).constant();
  const Value gate = slice(x, 1, 0, width / 2);
  const QuantizedRows rows = quantize_q8(mul(silu(gate), slice(x, 1, width / 2, width)));
  return {rows.q, rows.scale, rows.sums};
}

// Per value: 5 of silu and product, 4 of the quantization.
void cost_swiglu_quantize(const CostQuery& query, CallCost& cost) {
  cost.float_ops = 9.0 * query.outputs[0].elements();
}

std::vector<OpSample> swiglu_quantize_samples() {
  std::vector<OpSample> samples;
  for (int64_t rows : {0, 1, 5}) {
    samples.push_back(
        {.name = fmt::format("{} rows with gaps", rows),
         .inputs = {{HostTensor::random(DType::kF32, {rows, 192}, 1, 5, 200), true}},
         .outputs = {{DType::kI8, {rows, 96}}, {DType::kF32, {rows, 3}}, {DType::kF32, {rows, 3}}}});
  }
  return samples;
}

}  // namespace

QuantizedRows swiglu_quantize_q8(Value x) {
  const auto out = x.builder().call("musaic::swiglu_quantize_q8", {x});
  return {.q = out[0], .scale = out[1], .sums = out[2]};
}

void define_swiglu_quantize(OpRegistry& registry) {
  registry.define("musaic::swiglu_quantize_q8(Tensor x) -> (Tensor q, Tensor scale, Tensor sums)",
                  {.schema = {},
                   .fake = fake_swiglu_quantize,
                   .decomposition = decompose_swiglu_quantize,
                   .samples = swiglu_quantize_samples,
                   .cost = cost_swiglu_quantize});
}

}  // namespace musaic
