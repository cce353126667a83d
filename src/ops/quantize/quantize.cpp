#include "ops/quantize/quantize.h"

#include "ops/fake_checks.h"
#include "ops/op_samples.h"

namespace musaic {
namespace {

std::vector<FakeOutput> fake_quantize_q8(const FakeCall& call) {
  const Meta& x = call.input(0);
  expect_rank(call, 0, 2);
  expect_dtype(call, 0, DType::kF32);
  expect_dense_rows(call, 0);
  const int64_t k = constant_dim(call, 0, 1);
  if (k % QuantizedRows::kBlock != 0) fail_argument(call, 0, "a last dimension that is a multiple of 32");
  const DimShape per_block = {x.dim(0), Dim(k / QuantizedRows::kBlock)};
  return {{Meta::contiguous(DType::kI8, x.shape, x.device)},
          {Meta::contiguous(DType::kF32, per_block, x.device)},
          {Meta::contiguous(DType::kF32, per_block, x.device)}};
}

// The largest magnitude, the scaling, the rounding and the sum.
void cost_quantize_q8(const CostQuery& query, CallCost& cost) {
  cost.float_ops = 4.0 * query.elements(0);
}

}  // namespace

QuantizedRows quantize_q8(Value x) {
  const auto out = x.builder().call("musaic::quantize_q8", {x});
  return {.q = out[0], .scale = out[1], .sums = out[2]};
}

void define_quantize(OpRegistry& registry) {
  registry.define(
      "musaic::quantize_q8(Tensor x) -> (Tensor q, Tensor scale, Tensor sums)",
      {.schema = {}, .fake = fake_quantize_q8, .samples = quantize_q8_samples, .cost = cost_quantize_q8});
}

}  // namespace musaic
