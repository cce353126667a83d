#include "ops/attention_out/attention_out.h"

#include "ops/add/add.h"
#include "ops/cast/cast.h"
#include "ops/fake_checks.h"
#include "ops/linear/linear.h"
#include "ops/op_samples.h"

namespace musaic {
namespace {

constexpr const char* kName = "musaic::attention_out_";

constexpr int kResidual = 0;
constexpr int kAttention = 1;  // the first argument of musaic::rope_attention
constexpr int kQuery = kAttention;
constexpr int kWeight = 12;

std::vector<FakeOutput> fake_attention_out(const FakeCall& call) {
  expect_rope_attention(call, kAttention);
  expect_rank(call, kWeight, 2);
  expect_dtype(call, kWeight, DType::kBF16);
  expect_contiguous(call, kWeight);
  expect_dim(call, kWeight, 1, call.input(kQuery).dim(1));
  expect_rank(call, kResidual, 2);
  expect_dtype(call, kResidual, DType::kF32);
  expect_dense_rows(call, kResidual);
  expect_shape(call, kResidual, {call.input(kQuery).dim(0), call.input(kWeight).dim(0)});
  return {};
}

std::vector<Value> decompose_attention_out(GraphBuilder&, std::span<const Value> inputs,
                                           const Attributes& attributes) {
  const auto [out, keys, values] =
      rope_attention_parts(rope_attention_arguments(inputs.subspan(kAttention), attributes));
  const Value rounded = cast(cast(out, DType::kBF16), DType::kF32);
  return {add(inputs[kResidual], linear(rounded, inputs[kWeight], {})), keys, values};
}

void cost_attention_out(const CostQuery& query, CallCost& cost) {
  cost_rope_attention(query, kAttention, cost);
  cost.float_ops +=
      2.0 * static_cast<double>(query.dim(kQuery, 0)) * query.elements(kWeight) + query.elements(kResidual);
}

}  // namespace

AttentionOutResults attention_out_(Value residual, const RopeAttentionArguments& a, Value weight) {
  const auto out = residual.builder().call(
      kName,
      {residual, a.query, a.key, a.value, a.cos_sin, a.slots, a.key_cache, a.value_cache, a.query_start,
       a.kv_lengths, a.page_table, a.num_sequences, weight},
      {{"num_heads", int64_t{a.num_heads}}, {"scale", a.scale}, {"interleaved", a.interleaved}});
  return {out[0], out[1], out[2]};
}

void define_attention_out(OpRegistry& registry) {
  registry.define(
      "musaic::attention_out_(Tensor(a!) residual, Tensor query, Tensor key, Tensor value, Tensor cos_sin, "
      "Tensor slots, Tensor(b!) key_cache, Tensor(c!) value_cache, Tensor query_start, Tensor kv_lengths, "
      "Tensor page_table, Tensor num_sequences, Tensor weight, int num_heads, float scale, "
      "bool interleaved=False) -> ()",
      {.schema = {},
       .fake = fake_attention_out,
       .decomposition = decompose_attention_out,
       .samples = attention_out_samples,
       .is_break = true,
       .break_reason = "its work depends on how long each sequence is, which no recorded launch can know",
       .cost = cost_attention_out});
}

}  // namespace musaic
