#include "ops/grouped_swiglu/grouped_swiglu.h"

#include "ops/grouped_linear/grouped_checks.h"
#include "ops/linear_fp8/fp8_checks.h"
#include "ops/op_samples.h"

namespace musaic {
namespace {

int64_t half_width(const FakeCall& call) {
  expect_rank(call, 0, 2);
  expect_dtype(call, 0, DType::kF32);
  expect_contiguous(call, 0);
  expect_expert_rows(call, 1);
  const int64_t width = constant_dim(call, 0, 1);
  if (width == 0 || width % 2 != 0) fail_argument(call, 0, "a last dimension of two halves");
  return width / 2;
}

FakeOutput rows_of(const FakeCall& call, DType dtype, const Dim& width) {
  return {Meta::contiguous(dtype, {call.input(0).dim(0), width}, call.input(0).device)};
}

std::vector<FakeOutput> fake_grouped_swiglu(const FakeCall& call) {
  return {rows_of(call, DType::kF32, half_width(call))};
}

std::vector<FakeOutput> fake_grouped_swiglu_quant(const FakeCall& call) {
  const int64_t width = half_width(call);
  return {rows_of(call, DType::kF8E4M3, width), rows_of(call, DType::kF32, fp8_blocks(width))};
}

void cost_grouped_swiglu(const CostQuery& query, CallCost& cost) {
  cost.float_ops = 5.0 * query.outputs[0].elements();
}

void cost_grouped_swiglu_quant(const CostQuery& query, CallCost& cost) {
  cost.float_ops = 9.0 * query.outputs[0].elements();
}

}  // namespace

Value grouped_swiglu(Value x, const ExpertRows& groups) {
  return x.builder().call("musaic::grouped_swiglu", {x, groups.start, groups.count})[0];
}

Fp8Rows grouped_swiglu_quant_fp8(Value x, const ExpertRows& groups) {
  const auto out = x.builder().call("musaic::grouped_swiglu_quant_fp8", {x, groups.start, groups.count});
  return {out[0], out[1]};
}

void define_grouped_swiglu(OpRegistry& registry) {
  registry.define("musaic::grouped_swiglu(Tensor x, Tensor start, Tensor count) -> Tensor",
                  {.schema = {},
                   .fake = fake_grouped_swiglu,
                   .samples = grouped_swiglu_samples,
                   .cost = cost_grouped_swiglu});
  registry.define(
      "musaic::grouped_swiglu_quant_fp8(Tensor x, Tensor start, Tensor count) -> (Tensor, Tensor)",
      {.schema = {},
       .fake = fake_grouped_swiglu_quant,
       .samples = grouped_swiglu_quant_fp8_samples,
       .cost = cost_grouped_swiglu_quant});
}

}  // namespace musaic
