#pragma once

#include "gpu_vendor.h"
#include "ops/mla_attention/kv_b_gpu.h"
#include "ops/per_token_group_quant/fp8_rows_gpu.h"

namespace musaic {

// The paged cache, and where the sequences of a step lie in it.
struct MlaCacheGpu {
  const uint8_t* data = nullptr;  // rows of `width` values
  DType dtype = DType::kF32;
  int width = 0;  // latent and rotated key
  int page_size = 0;
  const int32_t* query_start = nullptr;
  const int32_t* kv_lengths = nullptr;
  const int32_t* page_table = nullptr;
  int64_t max_pages = 0;
  const int32_t* num_sequences = nullptr;
  int64_t sequences = 0;  // pad sequences included
};

// One call of musaic::mla_absorbed_attention or, with kv_b, of musaic::mla_expanded_attention and
// musaic::mla_absorbed_values_fp8, the last without `out`.
struct MlaAttentionCall {
  const float* query = nullptr;
  float* out = nullptr;
  int64_t query_stride = 0;
  int64_t out_stride = 0;
  MlaCacheGpu cache;
  KvBGpu kv_b;
  int64_t tokens = 0;  // rows of the query, pad rows included
  int heads = 0;
  int rank = 0;
  float scale = 0;  // includes log2(e)
  uint8_t* workspace = nullptr;
};

// For sizes and types of any kind: a block of threads for each row and head.
void launch_absorbed_plain(const MlaAttentionCall& call, gpuStream_t stream);
void launch_expanded_plain(const MlaAttentionCall& call, gpuStream_t stream);

// By matrix units, at the sizes of DeepSeek-V2 and V3 and a cache of 16-bit values. REQUIRES: rows of the
// query at multiples of 16 bytes.
//
// Absorbed: a row's positions are cut into at most kMlaMaxSpans spans, by its own position only; a span's
// sixteen heads are computed by one block of threads, and spans are merged in their order. So many rows are
// computed at once, the others after them. REQUIRES: the cache was written before the kernel before this one,
// which makes the query, began: it is read ahead of that one's end.
inline constexpr int kMlaMaxSpans = 64;
inline constexpr int kMlaRowsAtOnce = 64;
inline constexpr int kMlaTile = 64;         // positions, counted from 0, that a softmax goes on by
inline constexpr int kMlaHeadsAtOnce = 16;  // whole groups of them
inline constexpr int kMlaMatrixRank = 512;
inline constexpr int kMlaMatrixWidth = 576;

constexpr int64_t mla_span_state_bytes() {  // of a row, a group of heads and a span
  return kMlaHeadsAtOnce * (kMlaMatrixRank + 2) * 4;
}
void launch_absorbed_matrix(const MlaAttentionCall& call, int max_spans, gpuStream_t stream);
// The results through kv_b's value rows, in FP8. REQUIRES: kv_b.has_matrix_sizes(), in FP8.
void launch_absorbed_values(const MlaAttentionCall& call, const Fp8RowsOut& out, int max_spans,
                            gpuStream_t stream);

// Expanded: keys and values of the tiles of positions that the step sees, of all heads, are made first, as
// far as there is memory: of `max_tiles` tiles. Tiles behind them are made where they are needed, with the
// same bits.
inline constexpr int kMlaExpandedRow = 192 + 128;  // key with its rotated part, value: f16
inline constexpr int kMlaExtraTiles = 256;         // beside those of the step's own rows
inline constexpr int64_t kMlaTileBytes = int64_t{kMlaTile} * kMlaExpandedRow * 2;  // of one head
inline constexpr int kMlaQueryTile = 64;  // rows that a block of threads has

void launch_expanded_matrix(const MlaAttentionCall& call, int max_tiles, int max_query_tiles,
                            gpuStream_t stream);

}  // namespace musaic
