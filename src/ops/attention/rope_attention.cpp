#include "ops/attention/rope_attention.h"

#include <cmath>

#include "ops/fake_checks.h"
#include "ops/kv_write/kv_write.h"
#include "ops/op_samples.h"
#include "ops/rope/rope.h"
#include "ops/rope/rope_checks.h"

namespace musaic {
namespace {

// Behind the first of these inputs.
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

void expect_rows(const FakeCall& call, int input, int64_t heads, const Meta& cache, const Dim& tokens) {
  expect_rank(call, input, 2);
  expect_dtype(call, input, DType::kF32);
  expect_dense_rows(call, input);
  expect_shape(call, input, {tokens, Dim(heads) * cache.dim(3)});
}

void expect_ints(const FakeCall& call, int input, const DimShape& shape) {
  expect_dtype(call, input, DType::kI32);
  expect_shape(call, input, shape);
  expect_contiguous(call, input);
}

std::vector<FakeOutput> fake_rope_attention(const FakeCall& call) {
  expect_rope_attention(call, 0);
  const Meta& query = call.input(kQuery);
  return {{Meta::contiguous(query.dtype, query.shape, query.device)}};
}

std::vector<Value> decompose_rope_attention(GraphBuilder&, std::span<const Value> inputs,
                                            const Attributes& attributes) {
  const auto [out, keys, values] = rope_attention_parts(rope_attention_arguments(inputs, attributes));
  return {out, keys, values};
}

void cost_of_rope_attention(const CostQuery& query, CallCost& cost) {
  cost_rope_attention(query, 0, cost);
}

}  // namespace

void expect_rope_attention(const FakeCall& call, int first) {
  const int key_cache = first + kKeyCache, value_cache = first + kValueCache;
  expect_rank(call, key_cache, 4);
  expect_float(call, key_cache);
  expect_contiguous(call, key_cache);
  const Meta& cache = call.input(key_cache);
  expect_dtype(call, value_cache, cache.dtype);
  expect_shape(call, value_cache, cache.shape);
  expect_contiguous(call, value_cache);
  const int64_t num_heads = call.attributes.get_int("num_heads");
  const int64_t kv_heads = constant_dim(call, key_cache, 1), head_dim = constant_dim(call, key_cache, 3);
  if (num_heads <= 0 || num_heads % kv_heads != 0)
    fail_argument(call, key_cache, fmt::format("a number of heads (dimension 1) that divides {}", num_heads));
  expect_rank(call, first + kQuery, 2);
  const Dim& tokens = call.input(first + kQuery).dim(0);
  expect_rows(call, first + kQuery, num_heads, cache, tokens);
  expect_rows(call, first + kKey, kv_heads, cache, tokens);
  expect_rows(call, first + kValue, kv_heads, cache, tokens);
  expect_cos_sin(call, first + kCosSin, tokens, head_dim);
  expect_dim(call, first + kCosSin, 1, cache.dim(3));
  expect_ints(call, first + kSlots, {tokens});
  expect_rank(call, first + kQueryStart, 1);
  expect_ints(call, first + kQueryStart, {call.input(first + kQueryStart).dim(0)});
  expect_ints(call, first + kKvLengths, {tokens});
  expect_rank(call, first + kPageTable, 2);
  expect_ints(call, first + kPageTable, {tokens, call.input(first + kPageTable).dim(1)});
  expect_ints(call, first + kNumSequences, {1});
}

RopeAttentionArguments rope_attention_arguments(std::span<const Value> inputs, const Attributes& attributes) {
  return {.query = inputs[kQuery],
          .key = inputs[kKey],
          .value = inputs[kValue],
          .cos_sin = inputs[kCosSin],
          .slots = inputs[kSlots],
          .key_cache = inputs[kKeyCache],
          .value_cache = inputs[kValueCache],
          .query_start = inputs[kQueryStart],
          .kv_lengths = inputs[kKvLengths],
          .page_table = inputs[kPageTable],
          .num_sequences = inputs[kNumSequences],
          .num_heads = static_cast<int>(attributes.get_int("num_heads")),
          .scale = attributes.get_float("scale"),
          .interleaved = attributes.get_bool("interleaved")};
}

RopeAttentionResults rope_attention_parts(const RopeAttentionArguments& a) {
  const int head_dim = static_cast<int>(a.key_cache.dim(3).constant());
  const Value query = rope_(a.query, a.cos_sin, head_dim, a.interleaved);
  const Value key = rope_(a.key, a.cos_sin, head_dim, a.interleaved);
  const auto [keys, values] = kv_write(key, a.value, a.slots, a.key_cache, a.value_cache);
  const Value out = paged_attention({.query = query,
                                     .key_cache = keys,
                                     .value_cache = values,
                                     .query_start = a.query_start,
                                     .kv_lengths = a.kv_lengths,
                                     .page_table = a.page_table,
                                     .num_sequences = a.num_sequences,
                                     .num_heads = a.num_heads,
                                     .scale = a.scale});
  return {out, keys, values};
}

// Of the caches, the past and the step's rows are read, these are written; a score and its share of the sum
// are a multiply-add each.
void cost_rope_attention(const CostQuery& query, size_t first, CallCost& cost) {
  const int i = static_cast<int>(first);
  const double tokens = static_cast<double>(query.dim(i + kQuery, 0));
  const double past = static_cast<double>(query.extent.past);
  const double row = static_cast<double>(query.dim(i + kKeyCache, 1) * query.dim(i + kKeyCache, 3));
  cost.float_ops = 4.0 * (past + 1) * query.elements(i + kQuery) +
                   kRopeOps * (query.elements(i + kQuery) + query.elements(i + kKey));
  cost.read[first + kKeyCache] = cost.read[first + kValueCache] = tokens * past * row;
  cost.written[first + kKeyCache] = cost.written[first + kValueCache] = tokens * row;
  cost.read[first + kQueryStart] = 0.0;
  cost.read[first + kPageTable] =
      tokens * std::ceil((past + 1) / static_cast<double>(query.dim(i + kKeyCache, 2)));
}

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
       .cost = cost_of_rope_attention});
}

}  // namespace musaic
