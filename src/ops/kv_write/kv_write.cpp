#include "ops/kv_write/kv_write.h"

#include "ops/fake_checks.h"
#include "ops/op_samples.h"
#include "ops/rope/rope.h"
#include "ops/rope/rope_checks.h"

namespace musaic {
namespace {

void expect_caches(const FakeCall& call, int key_cache, int value_cache) {
  expect_rank(call, key_cache, 4);
  expect_cached(call, key_cache);
  expect_contiguous(call, key_cache);
  expect_dtype(call, value_cache, call.input(key_cache).dtype);
  expect_shape(call, value_cache, call.input(key_cache).shape);
  expect_contiguous(call, value_cache);
}

// A row of `input` is one token's kv_heads · head_dim values.
void expect_cached_rows(const FakeCall& call, int input, int key_cache) {
  expect_rank(call, input, 2);
  expect_float(call, input);
  expect_dense_rows(call, input);
  expect_dim(call, input, 1, constant_dim(call, key_cache, 1) * constant_dim(call, key_cache, 3));
}

void expect_slots(const FakeCall& call, int slots, const Dim& tokens) {
  expect_dtype(call, slots, DType::kI32);
  expect_shape(call, slots, {tokens});
}

std::vector<FakeOutput> fake_kv_write(const FakeCall& call) {
  expect_caches(call, 3, 4);
  expect_cached_rows(call, 0, 3);
  expect_cached_rows(call, 1, 3);
  expect_shape(call, 1, call.input(0).shape);
  expect_slots(call, 2, call.input(0).dim(0));
  return {};
}

std::vector<FakeOutput> fake_rope_kv_write(const FakeCall& call) {
  const int64_t head_dim = call.attributes.get_int("head_dim");
  const Dim& tokens = call.input(0).dim(0);
  expect_heads(call, 0, head_dim);
  expect_caches(call, 5, 6);
  expect_dim(call, 5, 3, head_dim);
  expect_cached_rows(call, 1, 5);
  expect_cached_rows(call, 2, 5);
  expect_dim(call, 1, 0, tokens);
  expect_dim(call, 2, 0, tokens);
  expect_cos_sin(call, 3, tokens, head_dim);
  expect_slots(call, 4, tokens);
  return {};
}

std::vector<Value> decompose_rope_kv_write(GraphBuilder&, std::span<const Value> inputs,
                                           const Attributes& attributes) {
  const int head_dim = static_cast<int>(attributes.get_int("head_dim"));
  const bool interleaved = attributes.get_bool("interleaved");
  const Value query = rope_(inputs[0], inputs[3], head_dim, interleaved);
  const Value key = rope_(inputs[1], inputs[3], head_dim, interleaved);
  const auto [key_cache, value_cache] = kv_write(key, inputs[2], inputs[4], inputs[5], inputs[6]);
  return {query, key_cache, value_cache};
}

// The step's rows are written, nothing of the caches is read.
void cost_kv_write(const CostQuery& query, CallCost& cost) {
  for (int i : {0, 1}) {
    cost.read[3 + i] = 0.0;
    cost.written[3 + i] = query.elements(i);
  }
  cost.float_ops = 0.0;
}

void cost_rope_kv_write(const CostQuery& query, CallCost& cost) {
  for (int i : {0, 1}) {
    cost.read[5 + i] = 0.0;
    cost.written[5 + i] = query.elements(1 + i);
  }
  cost.float_ops = kRopeOps * (query.elements(0) + query.elements(1));
}

}  // namespace

std::pair<Value, Value> kv_write(Value key, Value value, Value slots, Value key_cache, Value value_cache) {
  const auto out = key.builder().call("musaic::kv_write", {key, value, slots, key_cache, value_cache});
  return {out[0], out[1]};
}

RopeKvWriteResults rope_kv_write(const RopeKvWriteArguments& arguments) {
  const RopeKvWriteArguments& a = arguments;
  const auto out = a.query.builder().call(
      "musaic::rope_kv_write", {a.query, a.key, a.value, a.cos_sin, a.slots, a.key_cache, a.value_cache},
      {{"head_dim", int64_t{a.head_dim}}, {"interleaved", a.interleaved}});
  return {out[0], out[1], out[2]};
}

void define_kv_write(OpRegistry& registry) {
  registry.define(
      "musaic::kv_write(Tensor key, Tensor value, Tensor slots, Tensor(a!) key_cache, "
      "Tensor(b!) value_cache) -> ()",
      {.schema = {}, .fake = fake_kv_write, .samples = kv_write_samples, .cost = cost_kv_write});
  registry.define(
      "musaic::rope_kv_write(Tensor(a!) query, Tensor key, Tensor value, Tensor cos_sin, Tensor slots, "
      "Tensor(b!) key_cache, Tensor(c!) value_cache, int head_dim, bool interleaved=False) -> ()",
      {.schema = {},
       .fake = fake_rope_kv_write,
       .decomposition = decompose_rope_kv_write,
       .samples = rope_kv_write_samples,
       .cost = cost_rope_kv_write});
}

}  // namespace musaic
