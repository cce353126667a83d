#include "ops/mla_attention/mla_absorbed_values.h"

#include "ops/fake_checks.h"
#include "ops/linear_fp8/fp8_checks.h"
#include "ops/mla_attention/kv_b_checks.h"
#include "ops/mla_project/mla_project.h"
#include "ops/op_samples.h"

namespace musaic {
namespace {

constexpr const char* kName = "musaic::mla_absorbed_values_fp8";

enum Input { kQuery, kCache, kQueryStart, kKvLengths, kPageTable, kNumSequences, kKvB, kKvBScale };

std::vector<FakeOutput> fake_absorbed_values(const FakeCall& call) {
  expect_absorbed_attention(call);
  const int64_t heads = call.attributes.get_int("num_heads");
  const int64_t value_dim = call.attributes.get_int("v_head_dim");
  if (value_dim <= 0 || value_dim >= expect_kv_b(call, kKvB, heads))
    fail_argument(call, kKvB, fmt::format("more than v_head_dim, {}, rows a head", value_dim));
  expect_dim(call, kKvB, 1, call.attributes.get_int("rank"));
  const Meta& query = call.input(kQuery);
  const Dim width = heads * value_dim;
  return {{Meta::contiguous(DType::kF8E4M3, {query.dim(0), width}, query.device)},
          {Meta::contiguous(DType::kF32, {query.dim(0), fp8_blocks(width)}, query.device)}};
}

std::vector<Value> decompose_absorbed_values(GraphBuilder&, std::span<const Value> inputs,
                                             const Attributes& attributes) {
  const int heads = static_cast<int>(attributes.get_int("num_heads"));
  const Value attended = mla_absorbed_attention({.query = inputs[kQuery],
                                                 .cache = inputs[kCache],
                                                 .query_start = inputs[kQueryStart],
                                                 .kv_lengths = inputs[kKvLengths],
                                                 .page_table = inputs[kPageTable],
                                                 .num_sequences = inputs[kNumSequences],
                                                 .num_heads = heads,
                                                 .scale = attributes.get_float("scale")},
                                                static_cast<int>(attributes.get_int("rank")));
  const Fp8Rows rows = quantize_fp8(mla_expand_values(attended, inputs[kKvB], inputs[kKvBScale], heads,
                                                      static_cast<int>(attributes.get_int("v_head_dim"))));
  return {rows.q, rows.scale};
}

// Of kv_b the value rows are read.
void cost_absorbed_values(const CostQuery& query, CallCost& cost) {
  cost_absorbed_attention(query, query.attributes.get_int("rank"), cost);
  const double values = static_cast<double>(query.outputs[0].shape[1] * query.dim(kKvB, 1));
  cost.read[kKvB] = values;
  cost.float_ops += (2.0 * values + 4.0) * static_cast<double>(query.dim(kQuery, 0));
}

}  // namespace

Fp8Rows mla_absorbed_values_fp8(const MlaArguments& a, int rank, Value kv_b, Value kv_b_scale,
                                int v_head_dim) {
  const auto out = a.query.builder().call(
      kName, {a.query, a.cache, a.query_start, a.kv_lengths, a.page_table, a.num_sequences, kv_b, kv_b_scale},
      {{"num_heads", int64_t{a.num_heads}},
       {"scale", a.scale},
       {"rank", int64_t{rank}},
       {"v_head_dim", int64_t{v_head_dim}}});
  return {out[0], out[1]};
}

void define_mla_absorbed_values(OpRegistry& registry) {
  registry.define(
      "musaic::mla_absorbed_values_fp8(Tensor query, Tensor cache, Tensor query_start, Tensor kv_lengths, "
      "Tensor page_table, Tensor num_sequences, Tensor kv_b, Tensor? kv_b_scale, int num_heads, float scale, "
      "int rank, int v_head_dim) -> (Tensor q, Tensor scales)",
      {.schema = {},
       .fake = fake_absorbed_values,
       .decomposition = decompose_absorbed_values,
       .samples = mla_absorbed_values_fp8_samples,
       .is_break = true,
       .break_reason = kMlaBreakReason,
       .cost = cost_absorbed_values});
}

}  // namespace musaic
