#include "ops/linear_fp8/linear_fp8.h"

#include "ops/empty/empty.h"
#include "ops/linear_fp8/fp8_checks.h"
#include "ops/op_samples.h"
#include "ops/per_token_group_quant/per_token_group_quant.h"

namespace musaic {
namespace {

enum Input { kQ, kScale, kWeight, kWeightScale, kBias };

std::vector<FakeOutput> fake_linear_fp8(const FakeCall& call) {
  expect_fp8_rows(call, kQ);
  const Meta& q = call.input(kQ);
  const Meta& weight = call.input(kWeight);
  expect_rank(call, kWeight, 2);
  expect_dtype(call, kWeight, DType::kF8E4M3);
  expect_dim(call, kWeight, 1, q.dim(1));
  expect_contiguous(call, kWeight);
  expect_dtype(call, kWeightScale, DType::kF32);
  expect_shape(call, kWeightScale, {fp8_blocks(weight.dim(0)), fp8_blocks(weight.dim(1))});
  expect_contiguous(call, kWeightScale);
  if (call.has(kBias)) {
    expect_float(call, kBias);
    expect_shape(call, kBias, {weight.dim(0)});
    expect_contiguous(call, kBias);
  }
  return {{Meta::contiguous(DType::kF32, {q.dim(0), weight.dim(0)}, q.device)}};
}

void cost_linear_fp8(const CostQuery& query, CallCost& cost) {
  cost.float_ops = 2.0 * static_cast<double>(query.dim(kQ, 0)) * query.elements(kWeight) +
                   (query.inputs[kBias].present ? query.outputs[0].elements() : 0.0);
}

}  // namespace

Fp8Rows quantize_fp8(Value x) {
  const int64_t width = x.dim(-1).constant();
  const auto [q, scale] = per_token_group_quant(
      {.input = x,
       .output_q = empty_rows_of(x, width, DType::kF8E4M3),
       .output_s = empty_rows_of(x, (width + Fp8Rows::kGroup - 1) / Fp8Rows::kGroup, DType::kF32),
       .masked_m = {},
       .group_size = Fp8Rows::kGroup});
  return {q, scale};
}

Value linear_fp8(const Fp8Rows& x, Value weight, Value weight_scale, Value bias) {
  return x.q.builder().call("musaic::linear_fp8", {x.q, x.scale, weight, weight_scale, bias})[0];
}

void define_linear_fp8(OpRegistry& registry) {
  registry.define(
      "musaic::linear_fp8(Tensor q, Tensor scale, Tensor weight, Tensor weight_scale, Tensor? bias=None) -> "
      "Tensor",
      {.schema = {}, .fake = fake_linear_fp8, .samples = linear_fp8_samples, .cost = cost_linear_fp8});
}

}  // namespace musaic
