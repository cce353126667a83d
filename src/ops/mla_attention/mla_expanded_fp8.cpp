#include "ops/mla_attention/mla_expanded_fp8.h"

#include "ops/fake_checks.h"
#include "ops/linear_fp8/fp8_checks.h"
#include "ops/op_samples.h"

namespace musaic {
namespace {

constexpr const char* kName = "musaic::mla_expanded_attention_fp8";

enum Input { kQuery, kCache, kQueryStart, kKvLengths, kPageTable, kNumSequences, kKvB, kKvBScale };

std::vector<FakeOutput> fake_expanded_fp8(const FakeCall& call) {
  const Dim width = call.attributes.get_int("num_heads") * expect_expanded_attention(call);
  const Meta& query = call.input(kQuery);
  return {{Meta::contiguous(DType::kF8E4M3, {query.dim(0), width}, query.device)},
          {Meta::contiguous(DType::kF32, {query.dim(0), fp8_blocks(width)}, query.device)}};
}

std::vector<Value> decompose_expanded_fp8(GraphBuilder&, std::span<const Value> inputs,
                                          const Attributes& attributes) {
  const Fp8Rows rows =
      quantize_fp8(mla_expanded_attention({.query = inputs[kQuery],
                                           .cache = inputs[kCache],
                                           .query_start = inputs[kQueryStart],
                                           .kv_lengths = inputs[kKvLengths],
                                           .page_table = inputs[kPageTable],
                                           .num_sequences = inputs[kNumSequences],
                                           .num_heads = static_cast<int>(attributes.get_int("num_heads")),
                                           .scale = attributes.get_float("scale")},
                                          inputs[kKvB], inputs[kKvBScale]));
  return {rows.q, rows.scale};
}

void cost_expanded_fp8(const CostQuery& query, CallCost& cost) {
  cost_expanded_attention(query, cost);
  cost.float_ops += 4.0 * static_cast<double>(query.outputs[0].shape[0] * query.outputs[0].shape[1]);
}

}  // namespace

Fp8Rows mla_expanded_attention_fp8(const MlaArguments& a, Value kv_b, Value kv_b_scale) {
  const auto out = a.query.builder().call(
      kName, {a.query, a.cache, a.query_start, a.kv_lengths, a.page_table, a.num_sequences, kv_b, kv_b_scale},
      {{"num_heads", int64_t{a.num_heads}}, {"scale", a.scale}});
  return {out[0], out[1]};
}

void define_mla_expanded_fp8(OpRegistry& registry) {
  registry.define(
      "musaic::mla_expanded_attention_fp8(Tensor query, Tensor cache, Tensor query_start, Tensor kv_lengths, "
      "Tensor page_table, Tensor num_sequences, Tensor kv_b, Tensor? kv_b_scale, int num_heads, float scale) "
      "-> (Tensor q, Tensor scales)",
      {.schema = {},
       .fake = fake_expanded_fp8,
       .decomposition = decompose_expanded_fp8,
       .samples = mla_expanded_attention_fp8_samples,
       .is_break = true,
       .break_reason = kMlaBreakReason,
       .cost = cost_expanded_fp8});
}

}  // namespace musaic
