#include "ops/attention/rope_attention.h"

#include <cmath>

#include "ops/fake_checks.h"
#include "ops/kv_write/kv_write.h"
#include "ops/op_samples.h"
#include "ops/rope/rope.h"
#include "ops/rope/rope_checks.h"

namespace musaic {
namespace {

enum Input {
  kQuery,
  kKey,
  kValue,
  kCosSin,
  kSlots,
  kKeyCache,
  kValueCache,
  kQueryStart,
  kKvLengths,
  kPageTable,
  kNumSequences
};

void expect_rows(const FakeCall& call, int input, int64_t heads) {
  expect_rank(call, input, 2);
  expect_dtype(call, input, DType::kF32);
  expect_dense_rows(call, input);
  expect_shape(call, input, {call.input(kQuery).dim(0), Dim(heads * constant_dim(call, kKeyCache, 3))});
}

void expect_ints(const FakeCall& call, int input, const DimShape& shape) {
  expect_dtype(call, input, DType::kI32);
  expect_shape(call, input, shape);
  expect_contiguous(call, input);
}

std::vector<FakeOutput> fake_rope_attention(const FakeCall& call) {
  expect_rank(call, kKeyCache, 4);
  expect_float(call, kKeyCache);
  expect_contiguous(call, kKeyCache);
  expect_dtype(call, kValueCache, call.input(kKeyCache).dtype);
  expect_shape(call, kValueCache, call.input(kKeyCache).shape);
  expect_contiguous(call, kValueCache);
  const int64_t num_heads = call.attributes.get_int("num_heads");
  const int64_t kv_heads = constant_dim(call, kKeyCache, 1);
  if (num_heads <= 0 || num_heads % kv_heads != 0)
    fail_argument(call, kKeyCache, fmt::format("a number of heads (dimension 1) that divides {}", num_heads));
  expect_rank(call, kQuery, 2);
  const Dim& tokens = call.input(kQuery).dim(0);
  expect_rows(call, kQuery, num_heads);
  expect_rows(call, kKey, kv_heads);
  expect_rows(call, kValue, kv_heads);
  expect_cos_sin(call, kCosSin, tokens, constant_dim(call, kKeyCache, 3));
  expect_dim(call, kCosSin, 1, call.input(kKeyCache).dim(3));
  expect_ints(call, kSlots, {tokens});
  expect_ints(call, kQueryStart, {tokens + 1});
  expect_ints(call, kKvLengths, {tokens});
  expect_rank(call, kPageTable, 2);
  expect_ints(call, kPageTable, {tokens, call.input(kPageTable).dim(1)});
  expect_ints(call, kNumSequences, {1});
  const Meta& query = call.input(kQuery);
  return {{Meta::contiguous(query.dtype, query.shape, query.device)}};
}

std::vector<Value> decompose_rope_attention(GraphBuilder&, std::span<const Value> inputs,
                                            const Attributes& attributes) {
  const int head_dim = static_cast<int>(inputs[kKeyCache].dim(3).constant());
  const bool interleaved = attributes.get_bool("interleaved");
  const Value query = rope_(inputs[kQuery], inputs[kCosSin], head_dim, interleaved);
  const Value key = rope_(inputs[kKey], inputs[kCosSin], head_dim, interleaved);
  const auto [keys, values] =
      kv_write(key, inputs[kValue], inputs[kSlots], inputs[kKeyCache], inputs[kValueCache]);
  const Value out = paged_attention({.query = query,
                                     .key_cache = keys,
                                     .value_cache = values,
                                     .query_start = inputs[kQueryStart],
                                     .kv_lengths = inputs[kKvLengths],
                                     .page_table = inputs[kPageTable],
                                     .num_sequences = inputs[kNumSequences],
                                     .num_heads = static_cast<int>(attributes.get_int("num_heads")),
                                     .scale = attributes.get_float("scale")});
  return {out, keys, values};
}

// Of the caches, the past and the step's rows are read, these are written; a score and its share of the sum
// are a multiply-add each.
void cost_rope_attention(const CostQuery& query, CallCost& cost) {
  const double tokens = static_cast<double>(query.dim(kQuery, 0));
  const double past = static_cast<double>(query.extent.past);
  const double row = static_cast<double>(query.dim(kKeyCache, 1) * query.dim(kKeyCache, 3));
  cost.float_ops =
      4.0 * (past + 1) * query.elements(kQuery) + kRopeOps * (query.elements(kQuery) + query.elements(kKey));
  cost.read[kKeyCache] = cost.read[kValueCache] = tokens * past * row;
  cost.written[kKeyCache] = cost.written[kValueCache] = tokens * row;
  cost.read[kQueryStart] = 0.0;
  cost.read[kPageTable] = tokens * std::ceil((past + 1) / static_cast<double>(query.dim(kKeyCache, 2)));
}

}  // namespace

RopeAttentionResults rope_attention(const RopeAttentionArguments& arguments) {
  const RopeAttentionArguments& a = arguments;
  const auto out = a.query.builder().call(
      "musaic::rope_attention",
      {a.query, a.key, a.value, a.cos_sin, a.slots, a.key_cache, a.value_cache, a.query_start, a.kv_lengths,
       a.page_table, a.num_sequences},
      {{"num_heads", int64_t{a.num_heads}}, {"scale", a.scale}, {"interleaved", a.interleaved}});
  return {out[0], out[1], out[2]};
}

void define_rope_attention(OpRegistry& registry) {
  registry.define(
      "musaic::rope_attention(Tensor query, Tensor key, Tensor value, Tensor cos_sin, Tensor slots, "
      "Tensor(a!) key_cache, Tensor(b!) value_cache, Tensor query_start, Tensor kv_lengths, Tensor "
      "page_table, "
      "Tensor num_sequences, int num_heads, float scale, bool interleaved=False) -> Tensor",
      {.schema = {},
       .fake = fake_rope_attention,
       .decomposition = decompose_rope_attention,
       .samples = rope_attention_samples,
       .is_break = true,
       .break_reason = "its work depends on how long each sequence is, which no recorded launch can know",
       .cost = cost_rope_attention});
}

}  // namespace musaic
