#include "ops/moe_combine/moe_combine.h"

#include "ops/fake_checks.h"
#include "ops/op_samples.h"

namespace musaic {
namespace {

std::vector<FakeOutput> fake_moe_combine(const FakeCall& call) {
  expect_moe_combine(call);
  const Meta& x = call.input(0);
  return {{Meta::contiguous(DType::kF32, {call.input(1).dim(0), x.dim(1)}, x.device)}};
}

// Each choice's row is read once, whatever the layout left between the rows.
void cost_moe_combine(const CostQuery& query, CallCost& cost) {
  const double values = query.elements(1) * static_cast<double>(query.dim(0, 1));
  cost.read[0] = values;
  cost.float_ops = 2.0 * values;
}

}  // namespace

void expect_moe_combine(const FakeCall& call) {
  for (int input : {0, 1, 2}) {
    expect_rank(call, input, 2);
    expect_contiguous(call, input);
  }
  expect_dtype(call, 0, DType::kF32);
  expect_dtype(call, 1, DType::kI32);
  expect_dtype(call, 2, DType::kF32);
  expect_shape(call, 2, call.input(1).shape);
  const Meta& x = call.input(0);
  if (call.has(3)) {
    expect_dtype(call, 3, DType::kF32);
    expect_dense_rows(call, 3);
    expect_shape(call, 3, {call.input(1).dim(0), x.dim(1)});
  }
}

Value moe_combine(Value x, Value token_row, Value weights, Value addend) {
  return x.builder().call("musaic::moe_combine", {x, token_row, weights, addend})[0];
}

void define_moe_combine(OpRegistry& registry) {
  registry.define(
      "musaic::moe_combine(Tensor x, Tensor token_row, Tensor weights, Tensor? addend=None) -> Tensor",
      {.schema = {}, .fake = fake_moe_combine, .samples = moe_combine_samples, .cost = cost_moe_combine});
}

}  // namespace musaic
