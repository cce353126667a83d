#include "ops/linear/linear.h"

#include "ops/fake_checks.h"
#include "ops/op_samples.h"

namespace musaic {
namespace {

void expect_weight_and_bias(const FakeCall& call, int weight, const Dim& k) {
  expect_rank(call, weight, 2);
  expect_contiguous(call, weight);
  expect_dim(call, weight, 1, k);
  const int bias = weight + 1;
  if (!call.has(bias)) return;
  expect_float(call, bias);
  expect_shape(call, bias, {call.input(weight).dim(0)});
  expect_contiguous(call, bias);
}

std::vector<FakeOutput> fake_linear(const FakeCall& call) {
  const Meta& x = call.input(0);
  const Meta& weight = call.input(1);
  expect_rank(call, 0, 2);
  expect_dtype(call, 0, DType::kF32);
  expect_dense_rows(call, 0);
  if (!is_block_quantized(weight.dtype)) expect_float(call, 1);
  expect_weight_and_bias(call, 1, x.dim(1));
  return {{Meta::contiguous(DType::kF32, {x.dim(0), weight.dim(0)}, x.device)}};
}

std::vector<FakeOutput> fake_linear_q8(const FakeCall& call) {
  const Meta& q = call.input(0);
  const Meta& weight = call.input(3);
  expect_rank(call, 0, 2);
  expect_dtype(call, 0, DType::kI8);
  expect_dense_rows(call, 0);
  for (int per_block : {1, 2}) {
    expect_dtype(call, per_block, DType::kF32);
    expect_shape(call, per_block, {q.dim(0), Dim(constant_dim(call, 0, 1) / QuantizedRows::kBlock)});
    expect_dense_rows(call, per_block);
  }
  if (!is_block_quantized(weight.dtype)) fail_argument(call, 3, "a block-quantized weight");
  expect_weight_and_bias(call, 3, q.dim(1));
  return {{Meta::contiguous(DType::kF32, {q.dim(0), weight.dim(0)}, q.device)}};
}

double products(const CostQuery& query, int weight) {
  return 2.0 * static_cast<double>(query.dim(0, 0)) * query.elements(weight);
}

void cost_linear(const CostQuery& query, CallCost& cost) {
  cost.float_ops = products(query, 1) + (query.inputs[2].present ? query.outputs[0].elements() : 0.0);
}

// Products and sums of a block are integers; the block's scale, offset and sum are applied in float.
void cost_linear_q8(const CostQuery& query, CallCost& cost) {
  cost.int8_ops = products(query, 3);
  cost.float_ops = 2.0 * products(query, 3) / QuantizedRows::kBlock +
                   (query.inputs[4].present ? query.outputs[0].elements() : 0.0);
}

}  // namespace

Value linear(Value x, Value weight, Value bias) {
  return x.builder().call("aten::linear", {x, weight, bias})[0];
}

Value linear_q8(const QuantizedRows& x, Value weight, Value bias) {
  return x.q.builder().call("musaic::linear_q8", {x.q, x.scale, x.sums, weight, bias})[0];
}

void define_linear(OpRegistry& registry) {
  registry.define("aten::linear(Tensor x, Tensor weight, Tensor? bias=None) -> Tensor",
                  {.schema = {}, .fake = fake_linear, .samples = linear_samples, .cost = cost_linear});
  registry.define(
      "musaic::linear_q8(Tensor q, Tensor scale, Tensor sums, Tensor weight, Tensor? bias=None) -> Tensor",
      {.schema = {}, .fake = fake_linear_q8, .samples = linear_q8_samples, .cost = cost_linear_q8});
}

}  // namespace musaic
