#include "ops/embedding/embedding.h"

#include "ops/fake_checks.h"
#include "ops/op_samples.h"

namespace musaic {
namespace {

std::vector<FakeOutput> fake_embedding(const FakeCall& call) {
  const Meta& weight = call.input(0);
  expect_rank(call, 0, 2);
  expect_contiguous(call, 0);
  if (!is_block_quantized(weight.dtype)) expect_float(call, 0);
  expect_rank(call, 1, 1);
  expect_dtype(call, 1, DType::kI32);
  expect_contiguous(call, 1);
  return {{Meta::contiguous(DType::kF32, {call.input(1).dim(0), weight.dim(1)}, weight.device)}};
}

// Only the rows of the tokens are read.
void cost_embedding(const CostQuery& query, CallCost& cost) {
  cost.read[0] = query.outputs[0].elements();
  cost.float_ops = is_block_quantized(query.inputs[0].dtype) ? 2.0 * query.outputs[0].elements() : 0.0;
}

}  // namespace

Value embedding(Value weight, Value indices) {
  return weight.builder().call("aten::embedding", {weight, indices})[0];
}

void define_embedding(OpRegistry& registry) {
  registry.define(
      "aten::embedding(Tensor weight, Tensor indices) -> Tensor",
      {.schema = {}, .fake = fake_embedding, .samples = embedding_samples, .cost = cost_embedding});
}

}  // namespace musaic
