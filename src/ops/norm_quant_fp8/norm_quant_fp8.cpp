#include "ops/norm_quant_fp8/norm_quant_fp8.h"

#include <fmt/format.h>

#include "ir/op_sample.h"
#include "ops/add/add.h"
#include "ops/fake_checks.h"
#include "ops/linear_fp8/fp8_checks.h"
#include "ops/rms_norm/rms_norm.h"

namespace musaic {
namespace {

constexpr const char* kName = "musaic::add_rms_norm_quant_fp8";

std::vector<Value> decompose_add_norm_quant(GraphBuilder&, std::span<const Value> inputs,
                                            const Attributes& attributes) {
  const Value residual = add(inputs[0], inputs[1]);
  const Value normed = rms_norm(residual, inputs[2], attributes.get_float("eps"));
  const Fp8Rows rows = quantize_fp8(normed);
  return {rows.q, rows.scale, normed, residual};
}

// Per value: the sum, 4 of the norm, 4 of the quantization.
void cost_add_norm_quant(const CostQuery& query, CallCost& cost) {
  cost.float_ops = 9.0 * query.elements(0);
}

std::vector<OpSample> add_norm_quant_samples() {
  std::vector<OpSample> samples;
  for (DType weight : {DType::kF32, DType::kF16, DType::kBF16}) {
    for (int64_t width : {150, 256}) {
      for (int64_t rows : {0, 1, 5}) {
        samples.push_back(
            {.name = fmt::format("{} weight, {} rows of {} with gaps", name(weight), rows, width),
             .inputs = {{HostTensor::random(DType::kF32, {rows, width}, 1, 3, width + 8), true},
                        {HostTensor::random(DType::kF32, {rows, width}, 2, 3, width + 4), true},
                        {HostTensor::random(weight, {width}, 3)}},
             .attributes = {{"eps", 1e-5}},
             .outputs = {{DType::kF8E4M3, {rows, width}}, {DType::kF32, {rows, (width + 127) / 128}}}});
      }
    }
  }
  return samples;
}

}  // namespace

std::vector<FakeOutput> fake_add_norm_quant_fp8(const FakeCall& call) {
  enum { kX, kResidual, kWeight };
  for (int input : {kX, kResidual}) {
    expect_rank(call, input, 2);
    expect_dtype(call, input, DType::kF32);
    expect_dense_rows(call, input);
  }
  const Meta& x = call.input(kX);
  expect_shape(call, kResidual, x.shape);
  expect_float(call, kWeight);
  expect_shape(call, kWeight, {x.dim(1)});
  expect_contiguous(call, kWeight);
  return {{Meta::contiguous(DType::kF8E4M3, x.shape, x.device)},
          {Meta::contiguous(DType::kF32, {x.dim(0), fp8_blocks(x.dim(1))}, x.device)}};
}

AddNormFp8 add_rms_norm_quant_fp8(Value x, Value residual, Value weight, double eps) {
  const auto out = x.builder().call(kName, {x, residual, weight}, {{"eps", eps}});
  return {.rows = {.q = out[0], .scale = out[1]}, .normed = out[2], .residual = out[3]};
}

void define_norm_quant_fp8(OpRegistry& registry) {
  registry.define(
      "musaic::add_rms_norm_quant_fp8(Tensor(a!) x, Tensor(b!) residual, Tensor weight, float eps) -> "
      "(Tensor q, Tensor scale)",
      {.schema = {},
       .fake = fake_add_norm_quant_fp8,
       .decomposition = decompose_add_norm_quant,
       .samples = add_norm_quant_samples,
       .cost = cost_add_norm_quant});
}

}  // namespace musaic
