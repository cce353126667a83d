#include "ops/grouped_linear/grouped_linear.h"

#include <algorithm>

#include "ops/grouped_linear/grouped_checks.h"
#include "ops/linear_fp8/fp8_checks.h"
#include "ops/op_samples.h"

namespace musaic {
namespace {

// The weight's shape against x's width k and the experts counted at `count`.
const Meta& expect_weights(const FakeCall& call, int weight, int count, const Dim& k) {
  expect_rank(call, weight, 3);
  expect_contiguous(call, weight);
  expect_dim(call, weight, 0, call.input(count).dim(0));
  expect_dim(call, weight, 2, k);
  return call.input(weight);
}

// One row for each of `row_token`, or of x where that is absent.
std::vector<FakeOutput> grouped_result(const FakeCall& call, int row_token, const Dim& n) {
  const Meta& x = call.input(0);
  const Dim rows = call.has(row_token) ? call.input(row_token).dim(0) : x.dim(0);
  return {{Meta::contiguous(DType::kF32, {rows, n}, x.device)}};
}

std::vector<FakeOutput> fake_grouped_linear(const FakeCall& call) {
  enum { kX, kRowToken, kStart, kCount, kWeight };
  expect_rank(call, kX, 2);
  expect_dtype(call, kX, DType::kF32);
  expect_dense_rows(call, kX);
  expect_groups(call, kRowToken, kStart);
  const Meta& weight = expect_weights(call, kWeight, kCount, call.input(kX).dim(1));
  expect_float(call, kWeight);
  return grouped_result(call, kRowToken, weight.dim(1));
}

std::vector<FakeOutput> fake_grouped_linear_fp8(const FakeCall& call) {
  enum { kQ, kScale, kRowToken, kStart, kCount, kWeight, kWeightScale };
  expect_fp8_rows(call, kQ);
  expect_groups(call, kRowToken, kStart);
  const Meta& weight = expect_weights(call, kWeight, kCount, call.input(kQ).dim(1));
  expect_dtype(call, kWeight, DType::kF8E4M3);
  const int64_t parts = call.attributes.get_int("parts");
  const int64_t n = constant_dim(call, kWeight, 1);
  if (parts <= 0 || n % parts != 0)
    fail_argument(call, kWeight, fmt::format("rows of {} equal parts", parts));
  expect_dtype(call, kWeightScale, DType::kF32);
  expect_shape(call, kWeightScale, {weight.dim(0), fp8_blocks(n / parts) * parts, fp8_blocks(weight.dim(2))});
  expect_contiguous(call, kWeightScale);
  return grouped_result(call, kRowToken, weight.dim(1));
}

// Every expert that a row may have chosen is read once.
void cost_grouped(const CostQuery& query, int weight, CallCost& cost) {
  const auto rows = static_cast<double>(query.outputs[0].shape[0]);
  const auto experts = static_cast<double>(query.dim(weight, 0));
  cost.read[weight] = query.elements(weight) * std::min(1.0, rows / experts);
  cost.float_ops = 2.0 * rows * query.elements(weight) / experts;
}

void cost_grouped_linear(const CostQuery& query, CallCost& cost) {
  cost_grouped(query, 4, cost);
}

void cost_grouped_linear_fp8(const CostQuery& query, CallCost& cost) {
  cost_grouped(query, 5, cost);
  cost.read[6] = query.elements(6) * cost.read[5] / query.elements(5);
}

}  // namespace

Value grouped_linear(Value x, const ExpertRows& groups, bool by_token, Value weight) {
  const Value row_token = by_token ? groups.row_token : Value();
  return x.builder().call("musaic::grouped_linear", {x, row_token, groups.start, groups.count, weight})[0];
}

Value grouped_linear_fp8(const Fp8Rows& x, const ExpertRows& groups, bool by_token, Value weight,
                         Value weight_scale, int parts) {
  const Value row_token = by_token ? groups.row_token : Value();
  return x.q.builder().call("musaic::grouped_linear_fp8",
                            {x.q, x.scale, row_token, groups.start, groups.count, weight, weight_scale},
                            {{"parts", int64_t{parts}}})[0];
}

void define_grouped_linear(OpRegistry& registry) {
  registry.define(
      "musaic::grouped_linear(Tensor x, Tensor? row_token, Tensor start, Tensor count, Tensor weight) -> "
      "Tensor",
      {.schema = {},
       .fake = fake_grouped_linear,
       .samples = grouped_linear_samples,
       .cost = cost_grouped_linear});
  registry.define(
      "musaic::grouped_linear_fp8(Tensor q, Tensor scale, Tensor? row_token, Tensor start, Tensor count, "
      "Tensor "
      "weight, Tensor weight_scale, int parts=1) -> Tensor",
      {.schema = {},
       .fake = fake_grouped_linear_fp8,
       .samples = grouped_linear_fp8_samples,
       .cost = cost_grouped_linear_fp8});
}

}  // namespace musaic
