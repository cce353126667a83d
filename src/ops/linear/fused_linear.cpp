#include "ops/linear/fused_linear.h"

#include "ops/add/add.h"
#include "ops/cast/cast.h"
#include "ops/fake_checks.h"
#include "ops/linear/linear.h"
#include "ops/op_samples.h"
#include "ops/rms_norm/rms_norm.h"
#include "ops/swiglu/swiglu.h"
#include "ops/view/view.h"

namespace musaic {
namespace {

constexpr double kNormOps = 4.0;    // a square and its sum, the scale, the weight
constexpr double kSwigluOps = 5.0;  // of silu and product

void expect_rows(const FakeCall& call, int x) {
  expect_rank(call, x, 2);
  expect_dtype(call, x, DType::kF32);
  expect_dense_rows(call, x);
}

void expect_weight_and_bias(const FakeCall& call, int x, int weight) {
  expect_rank(call, weight, 2);
  expect_float(call, weight);
  expect_contiguous(call, weight);
  expect_dim(call, weight, 1, call.input(x).dim(1));
  const int bias = weight + 1;
  if (!call.has(bias)) return;
  expect_float(call, bias);
  expect_shape(call, bias, {call.input(weight).dim(0)});
  expect_contiguous(call, bias);
}

void expect_normed(const FakeCall& call) {
  expect_rows(call, 0);
  expect_float(call, 1);
  expect_shape(call, 1, {call.input(0).dim(1)});
  expect_contiguous(call, 1);
  expect_weight_and_bias(call, 0, 2);
}

std::vector<FakeOutput> rows_of(const FakeCall& call, const Dim& columns) {
  const Meta& x = call.input(0);
  return {{Meta::contiguous(DType::kF32, {x.dim(0), columns}, x.device)}};
}

std::vector<FakeOutput> fake_rms_norm_linear(const FakeCall& call) {
  expect_normed(call);
  return rows_of(call, call.input(2).dim(0));
}

std::vector<FakeOutput> fake_rms_norm_linear_swiglu(const FakeCall& call) {
  expect_normed(call);
  const int64_t columns = constant_dim(call, 2, 0);
  if (columns % 2 != 0) fail_argument(call, 2, "an even number of rows");
  return rows_of(call, Dim(columns / 2));
}

std::vector<FakeOutput> fake_linear_add(const FakeCall& call) {
  expect_rows(call, 0);
  expect_rows(call, 1);
  expect_weight_and_bias(call, 1, 2);
  expect_shape(call, 0, {call.input(1).dim(0), call.input(2).dim(0)});
  return {};
}

// x as the product takes it. Of normed rows this rounds after the row's factor, not before it.
Value left_factor(Value x, const Attributes& attributes) {
  const bool rounds = attributes.contains("rounds_x") && attributes.get_bool("rounds_x");
  return rounds ? cast(cast(x, DType::kBF16), DType::kF32) : x;
}

std::vector<Value> decompose_rms_norm_linear(GraphBuilder&, std::span<const Value> inputs,
                                             const Attributes& attributes) {
  const Value normed = rms_norm(inputs[0], inputs[1], attributes.get_float("eps"));
  return {linear(left_factor(normed, attributes), inputs[2], inputs.size() > 3 ? inputs[3] : Value())};
}

std::vector<Value> decompose_rms_norm_linear_swiglu(GraphBuilder& builder, std::span<const Value> inputs,
                                                    const Attributes& attributes) {
  const Value both = decompose_rms_norm_linear(builder, inputs, attributes)[0];
  const int64_t width = both.dim(1).constant();
  return {mul(silu(slice(both, 1, 0, width / 2)), slice(both, 1, width / 2, width))};
}

std::vector<Value> decompose_linear_add(GraphBuilder&, std::span<const Value> inputs,
                                        const Attributes& attributes) {
  const Value x = left_factor(inputs[1], attributes);
  return {add(inputs[0], linear(x, inputs[2], inputs.size() > 3 ? inputs[3] : Value()))};
}

double products(const CostQuery& query, int x, int weight) {
  return 2.0 * static_cast<double>(query.dim(x, 0)) * query.elements(weight);
}

void cost_rms_norm_linear(const CostQuery& query, CallCost& cost) {
  cost.float_ops = products(query, 0, 2) + kNormOps * query.elements(0);
}

void cost_rms_norm_linear_swiglu(const CostQuery& query, CallCost& cost) {
  cost_rms_norm_linear(query, cost);
  cost.float_ops += kSwigluOps * query.outputs[0].elements();
}

void cost_linear_add(const CostQuery& query, CallCost& cost) {
  cost.float_ops = products(query, 1, 2) + query.elements(0);
}

}  // namespace

Value rms_norm_linear(Value x, Value norm_weight, Value weight, Value bias, double eps) {
  return x.builder().call("musaic::rms_norm_linear", {x, norm_weight, weight, bias}, {{"eps", eps}})[0];
}

Value rms_norm_linear_swiglu(Value x, Value norm_weight, Value weight, Value bias, double eps) {
  return x.builder().call("musaic::rms_norm_linear_swiglu", {x, norm_weight, weight, bias},
                          {{"eps", eps}})[0];
}

Value linear_add_(Value residual, Value x, Value weight, Value bias) {
  return x.builder().call("musaic::linear_add_", {residual, x, weight, bias})[0];
}

void define_fused_linear(OpRegistry& registry) {
  registry.define(
      "musaic::rms_norm_linear(Tensor x, Tensor norm_weight, Tensor weight, Tensor? bias, float eps, "
      "bool rounds_x=False) -> Tensor",
      {.schema = {},
       .fake = fake_rms_norm_linear,
       .decomposition = decompose_rms_norm_linear,
       .samples = rms_norm_linear_samples,
       .cost = cost_rms_norm_linear});
  registry.define(
      "musaic::rms_norm_linear_swiglu(Tensor x, Tensor norm_weight, Tensor weight, Tensor? bias, float eps, "
      "bool rounds_x=False) -> Tensor",
      {.schema = {},
       .fake = fake_rms_norm_linear_swiglu,
       .decomposition = decompose_rms_norm_linear_swiglu,
       .samples = rms_norm_linear_swiglu_samples,
       .cost = cost_rms_norm_linear_swiglu});
  registry.define(
      "musaic::linear_add_(Tensor(a!) residual, Tensor x, Tensor weight, Tensor? bias=None, "
      "bool rounds_x=False) -> ()",
      {.schema = {},
       .fake = fake_linear_add,
       .decomposition = decompose_linear_add,
       .samples = linear_add_samples,
       .cost = cost_linear_add});
}

}  // namespace musaic
