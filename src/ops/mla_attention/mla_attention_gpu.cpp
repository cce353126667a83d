#include "backends/gpu/gpu_stream.h"
#include "base/check.h"
#include "ir/registry.h"
#include "ops/mla_attention/mla_absorbed_values.h"
#include "ops/mla_attention/mla_attention.h"
#include "ops/mla_attention/mla_attention_call_gpu.h"
#include "ops/per_token_group_quant/fp8_rows_call_gpu.h"

namespace musaic {
namespace {

using namespace mla;

bool has_absorbed_sizes(DType cache, int64_t width, int64_t rank, int64_t heads) {
  return is_half(cache) && width == kMlaMatrixWidth && rank == kMlaMatrixRank && heads % kMlaHeadsAtOnce == 0;
}

Dim absorbed_workspace(const KernelQuery& query) {
  const int64_t heads = query.attributes.get_int("num_heads");
  const Meta& cache = *query.inputs[kCache];
  if (!has_absorbed_sizes(cache.dtype, cache.dim(3).constant(), query.attributes.get_int("rank"), heads))
    return 0;
  const Dim spans = min(ceil_div(positions_of(query), kMlaTile), kMlaMaxSpans);
  const Dim rows = min(query.inputs[kQuery]->dim(0), kMlaRowsAtOnce);
  return rows * spans * (heads / kMlaHeadsAtOnce * mla_span_state_bytes());
}

// Tiles that are made ahead, and tiles of query rows.
template <class Number>
Number tiles_ahead(const Number& tokens, const Number& sequences, const Number& positions) {
  return min(ceil_div(tokens, Number(kMlaTile)) + sequences + kMlaExtraTiles,
             sequences * ceil_div(positions, Number(kMlaTile)));
}
template <class Number>
Number query_tiles(const Number& tokens, const Number& sequences) {
  return min(ceil_div(tokens, Number(kMlaQueryTile)) + sequences, tokens);
}

Dim expanded_workspace(const KernelQuery& query) {
  const int64_t heads = query.attributes.get_int("num_heads");
  if (!has_expanded_sizes(query)) return 0;
  const Dim& tokens = query.inputs[kQuery]->dim(0);
  const Dim& sequences = query.inputs[kKvLengths]->dim(0);
  const Dim tiles = tiles_ahead(tokens, sequences, positions_of(query)) + query_tiles(tokens, sequences);
  return tiles * (heads * kMlaTileBytes);
}

int max_spans(const MlaAttentionCall& call) {
  return static_cast<int>(min(ceil_div(positions_of(call), kMlaTile), kMlaMaxSpans));
}

void run_absorbed(const KernelCall& call) {
  GpuStream& stream = gpu_stream(call.stream);
  MlaAttentionCall work = call_of(call);
  set_out(work, call.outputs[0]);
  work.rank = static_cast<int>(call.attributes.get_int("rank"));
  if (has_absorbed_sizes(work.cache.dtype, work.cache.width, work.rank, work.heads) && is_aligned(work)) {
    launch_absorbed_matrix(work, max_spans(work), stream.handle());
  } else {
    launch_absorbed_plain(work, stream.handle());
  }
  stream.check_launch();
}

bool supports_values(const KernelQuery& query) {
  const Meta &rows = *query.inputs[kQuery], &cache = *query.inputs[kCache], &kv_b = *query.inputs[kKvB];
  const int64_t heads = query.attributes.get_int("num_heads");
  const Dim& stride = rows.strides[0];
  return supports(query) && stride.is_constant() && stride.constant() % 4 == 0 &&
         has_absorbed_sizes(cache.dtype, cache.dim(3).constant(), query.attributes.get_int("rank"), heads) &&
         kv_b.dtype == DType::kF8E4M3 && kv_b.dim(0) == Dim(heads * 2 * kBlock) &&
         query.attributes.get_int("v_head_dim") == kBlock;
}

void run_values(const KernelCall& call) {
  GpuStream& stream = gpu_stream(call.stream);
  MlaAttentionCall work = call_of(call);
  set_kv_b(work, call, kBlock);
  CHECK(is_aligned(work), "mla_absorbed_values_fp8: rows that do not lie at multiples of 16 bytes");
  launch_absorbed_values(work, fp8_rows_out(call), max_spans(work), stream.handle());
  stream.check_launch();
}

void run_expanded(const KernelCall& call) {
  GpuStream& stream = gpu_stream(call.stream);
  MlaAttentionCall work = call_of(call);
  set_out(work, call.outputs[0]);
  set_kv_b(work, call, call.outputs[0].shape[1] / work.heads);
  const Tensor& kv_b = call.inputs[kKvB];
  const bool has_sizes = has_expanded_sizes(work.cache.dtype, work.cache.width, kv_b.dtype, work.rank,
                                            kv_b.shape[0], work.heads, call.inputs[kQuery].shape[1]);
  if (has_sizes && is_aligned(work)) {
    const int64_t tiles = tiles_ahead(work.tokens, work.cache.sequences, positions_of(work));
    launch_expanded_matrix(work, static_cast<int>(tiles),
                           static_cast<int>(query_tiles(work.tokens, work.cache.sequences)), stream.handle());
  } else {
    launch_expanded_plain(work, stream.handle());
  }
  stream.check_launch();
}

}  // namespace

void add_mla_attention_gpu(OpRegistry& registry) {
  registry.add_kernel("musaic::mla_expanded_attention", {.name = "mla_expanded_attention_gpu",
                                                         .device_type = kGpuDeviceType,
                                                         .supports = supports,
                                                         .run = run_expanded,
                                                         .workspace_bytes = expanded_workspace});
  registry.add_kernel("musaic::mla_absorbed_attention", {.name = "mla_absorbed_attention_gpu",
                                                         .device_type = kGpuDeviceType,
                                                         .supports = supports,
                                                         .run = run_absorbed,
                                                         .workspace_bytes = absorbed_workspace});
  registry.add_kernel("musaic::mla_absorbed_values_fp8", {.name = "mla_absorbed_values_fp8_gpu",
                                                          .device_type = kGpuDeviceType,
                                                          .supports = supports_values,
                                                          .run = run_values,
                                                          .workspace_bytes = absorbed_workspace});
}

}  // namespace musaic
