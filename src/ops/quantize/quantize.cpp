#include "ops/quantize/quantize.h"

#include "base/status.h"
#include "ops/fake_checks.h"
#include "ops/op_samples.h"
#include "ops/quantize/quantize_checks.h"

namespace musaic {

std::vector<FakeOutput> fake_quantized_rows(const FakeCall& call, int input, const DimShape& shape) {
  const Device& device = call.input(input).device;
  if (!shape[1].is_constant() || shape[1].constant() % QuantizedRows::kBlock != 0) {
    fail_argument(call, input,
                  fmt::format("rows of a multiple of {} values to quantize", QuantizedRows::kBlock));
  }
  const DimShape per_block = {shape[0], Dim(shape[1].constant() / QuantizedRows::kBlock)};
  return {{Meta::contiguous(DType::kI8, shape, device)},
          {Meta::contiguous(DType::kF32, per_block, device)},
          {Meta::contiguous(DType::kF32, per_block, device)}};
}

namespace {

std::vector<FakeOutput> fake_quantize_q8(const FakeCall& call) {
  expect_rank(call, 0, 2);
  expect_dtype(call, 0, DType::kF32);
  expect_dense_rows(call, 0);
  return fake_quantized_rows(call, 0, call.input(0).shape);
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
