#include "ops/mla_decode/mla_decode.h"

#include "ops/fake_checks.h"
#include "ops/latent_write/norm_latent_write.h"
#include "ops/linear_fp8/fp8_checks.h"
#include "ops/mla_attention/kv_b_checks.h"
#include "ops/mla_project/mla_project.h"
#include "ops/op_samples.h"

namespace musaic {
namespace {

using namespace mla_decode;

constexpr const char* kName = "musaic::mla_decode_attention_fp8";
constexpr MlaPages kPages = {kCache, kQueryStart};

int64_t rank_of(const FakeCall& call) {
  return constant_dim(call, kLatent, 1);
}

// kv_b has the rows of heads that are as wide as the query's.
void expect_projection(const FakeCall& call, int64_t heads, int64_t value_dim) {
  const int64_t nope = call.attributes.get_int("head_dim") - constant_dim(call, kRopeKey, 1);
  if (value_dim <= 0 || expect_kv_b(call, kKvB, heads) != nope + value_dim)
    fail_argument(call, kKvB, fmt::format("{} rows a head", nope + value_dim));
  expect_dim(call, kKvB, 1, rank_of(call));
  expect_dim(call, kQuery, 1, heads * call.attributes.get_int("head_dim"));
}

std::vector<FakeOutput> fake_mla_decode(const FakeCall& call) {
  expect_norm_latent_write(call);
  expect_pages(call, kPages);
  expect_dim(call, kKvLengths, 0, call.input(kQuery).dim(0));
  const int64_t heads = call.attributes.get_int("num_heads");
  const int64_t value_dim = call.attributes.get_int("v_head_dim");
  expect_projection(call, heads, value_dim);
  const Meta& query = call.input(kQuery);
  const Dim width = heads * value_dim;
  return {{Meta::contiguous(DType::kF8E4M3, {query.dim(0), width}, query.device)},
          {Meta::contiguous(DType::kF32, {query.dim(0), fp8_blocks(width)}, query.device)}};
}

std::vector<Value> decompose_mla_decode(GraphBuilder& builder, std::span<const Value> inputs,
                                        const Attributes& attributes) {
  const int heads = static_cast<int>(attributes.get_int("num_heads"));
  const int value_dim = static_cast<int>(attributes.get_int("v_head_dim"));
  const std::vector<Value> written = decompose_norm_latent_write(builder, inputs, attributes);
  const Value &query = written[0], &cache = written[1];
  const Value attended = mla_absorbed_attention(
      {.query = mla_absorb_query(query, inputs[kKvB], inputs[kKvBScale], heads, value_dim),
       .cache = cache,
       .query_start = inputs[kQueryStart],
       .kv_lengths = inputs[kKvLengths],
       .page_table = inputs[kPageTable],
       .num_sequences = inputs[kNumSequences],
       .num_heads = heads,
       .scale = attributes.get_float("scale")},
      static_cast<int>(inputs[kLatent].meta().dim(1).constant()));
  const Fp8Rows rows =
      quantize_fp8(mla_expand_values(attended, inputs[kKvB], inputs[kKvBScale], heads, value_dim));
  return {rows.q, rows.scale, cache};
}

// Four operations a value of the quantization; kv_b is read whole.
void cost_mla_decode(const CostQuery& query, CallCost& cost) {
  cost_norm_latent_write(query, cost);
  cost.read[kQuery] = query.elements(kQuery);
  cost.written[kQuery] = 0.0;
  const auto rows = static_cast<double>(query.dim(kQuery, 0));
  const auto values = static_cast<double>(query.outputs[0].shape[1]);
  cost.float_ops += cost_absorbed_pages(query, kPages, query.dim(kLatent, 1), cost) +
                    rows * (2.0 * query.elements(kKvB) + 4.0 * values);
}

}  // namespace

MlaDecodeResults mla_decode_attention_fp8(const MlaDecodeArguments& a) {
  const RopeLatentWriteArguments& w = a.write;
  const auto out = w.query.builder().call(
      kName,
      {w.query, w.latent, w.rope_key, w.cos_sin, w.slots, w.cache, a.norm_weight, a.query_start, a.kv_lengths,
       a.page_table, a.num_sequences, a.kv_b, a.kv_b_scale},
      {{"head_dim", int64_t{w.head_dim}},
       {"interleaved", w.interleaved},
       {"eps", a.eps},
       {"num_heads", int64_t{a.num_heads}},
       {"scale", a.scale},
       {"v_head_dim", int64_t{a.v_head_dim}}});
  return {{out[0], out[1]}, out[2]};
}

void define_mla_decode(OpRegistry& registry) {
  registry.define(
      "musaic::mla_decode_attention_fp8(Tensor query, Tensor latent, Tensor rope_key, Tensor cos_sin, "
      "Tensor slots, Tensor(a!) cache, Tensor norm_weight, Tensor query_start, Tensor kv_lengths, "
      "Tensor page_table, Tensor num_sequences, Tensor kv_b, Tensor? kv_b_scale, int head_dim, "
      "bool interleaved, float eps, int num_heads, float scale, int v_head_dim) -> (Tensor q, Tensor scales)",
      {.schema = {},
       .fake = fake_mla_decode,
       .decomposition = decompose_mla_decode,
       .samples = mla_decode_attention_fp8_samples,
       .is_break = true,
       .break_reason = kMlaBreakReason,
       .cost = cost_mla_decode});
}

}  // namespace musaic
