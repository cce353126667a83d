#include "ops/index_select/index_select.h"

#include "ops/fake_checks.h"
#include "ops/op_samples.h"

namespace musaic {
namespace {

std::vector<FakeOutput> fake_index_select(const FakeCall& call) {
  const Meta& x = call.input(0);
  expect_rank(call, 0, 2);
  expect_float(call, 0);
  expect_dense_rows(call, 0);
  expect_rank(call, 1, 1);
  expect_dtype(call, 1, DType::kI32);
  expect_contiguous(call, 1);
  return {{Meta::contiguous(x.dtype, {call.input(1).dim(0), x.dim(1)}, x.device)}};
}

void cost_index_select(const CostQuery& query, CallCost& cost) {
  cost.read[0] = query.outputs[0].elements();
  cost.float_ops = 0.0;
}

}  // namespace

Value index_select(Value x, Value rows) {
  return x.builder().call("aten::index_select", {x, rows})[0];
}

void define_index_select(OpRegistry& registry) {
  registry.define(
      "aten::index_select(Tensor x, Tensor rows) -> Tensor",
      {.schema = {}, .fake = fake_index_select, .samples = index_select_samples, .cost = cost_index_select});
}

}  // namespace musaic
