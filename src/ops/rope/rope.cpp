#include "ops/rope/rope.h"

#include "ops/fake_checks.h"
#include "ops/op_samples.h"
#include "ops/rope/rope_checks.h"

namespace musaic {

void expect_heads(const FakeCall& call, int x, int64_t head_dim) {
  expect_rank(call, x, 2);
  expect_float(call, x);
  expect_dense_rows(call, x);
  if (head_dim <= 0 || constant_dim(call, x, 1) % head_dim != 0)
    fail_argument(call, x, fmt::format("a last dimension of whole heads of {}", head_dim));
}

void expect_cos_sin(const FakeCall& call, int cos_sin, const Dim& tokens, int64_t head_dim) {
  expect_rank(call, cos_sin, 2);
  expect_dtype(call, cos_sin, DType::kF32);
  expect_dense_rows(call, cos_sin);
  expect_dim(call, cos_sin, 0, tokens);
  const int64_t rotated = constant_dim(call, cos_sin, 1);
  if (rotated % 2 != 0 || rotated > head_dim)
    fail_argument(call, cos_sin, fmt::format("an even last dimension of at most {}", head_dim));
}

namespace {

std::vector<FakeOutput> fake_rope_cos_sin(const FakeCall& call) {
  expect_rank(call, 0, 1);
  expect_dtype(call, 0, DType::kI32);
  expect_rank(call, 1, 1);
  expect_dtype(call, 1, DType::kF32);
  expect_contiguous(call, 1);
  const Meta& positions = call.input(0);
  const Dim rotated = call.input(1).dim(0) * 2;
  return {{Meta::contiguous(DType::kF32, {positions.dim(0), rotated}, positions.device)}};
}

std::vector<FakeOutput> fake_rope(const FakeCall& call) {
  const int64_t head_dim = call.attributes.get_int("head_dim");
  expect_heads(call, 0, head_dim);
  expect_cos_sin(call, 1, call.input(0).dim(0), head_dim);
  return {};
}

void cost_rope(const CostQuery& query, CallCost& cost) {
  cost.float_ops = kRopeOps * query.elements(0);
}

}  // namespace

Value rope_cos_sin(Value positions, Value inv_freq, double attention_factor) {
  return positions.builder().call("musaic::rope_cos_sin", {positions, inv_freq},
                                  {{"attention_factor", attention_factor}})[0];
}

Value rope_(Value x, Value cos_sin, int head_dim, bool interleaved) {
  return x.builder().call("musaic::rope_", {x, cos_sin},
                          {{"head_dim", int64_t{head_dim}}, {"interleaved", interleaved}})[0];
}

void define_rope(OpRegistry& registry) {
  registry.define(
      "musaic::rope_cos_sin(Tensor positions, Tensor inv_freq, float attention_factor=1.0) -> Tensor",
      {.schema = {}, .fake = fake_rope_cos_sin, .samples = rope_cos_sin_samples});
  registry.define("musaic::rope_(Tensor(a!) x, Tensor cos_sin, int head_dim, bool interleaved=False) -> ()",
                  {.schema = {}, .fake = fake_rope, .samples = rope_samples, .cost = cost_rope});
}

}  // namespace musaic
