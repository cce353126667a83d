#pragma once

#include "gpu_vendor.h"
#include "tensor/dtype.h"

namespace musaic {

// How the GPU kernels cut attention. A row's result is a sum over spans of kAttentionSpan positions, each a
// sum over eight stripes of blocks of 32 positions, all counted from position 0: so its bits depend neither
// on the step nor on which block of threads computes it.
inline constexpr int kAttentionSpan = 512;
// Steps of up to so many rows compute their spans apart and merge them afterwards: else too few blocks of
// threads would read long contexts.
inline constexpr int kMaxSplitTokens = 16;

// One call of musaic::paged_attention.
struct AttentionCall {
  const float* query = nullptr;
  float* out = nullptr;
  int64_t query_stride = 0;
  int64_t out_stride = 0;
  const uint8_t* key_cache = nullptr;  // [pages, kv_heads, page_size, head_dim]
  const uint8_t* value_cache = nullptr;
  DType cache_dtype = DType::kF32;
  const int32_t* query_start = nullptr;
  const int32_t* kv_lengths = nullptr;
  const int32_t* page_table = nullptr;
  const int32_t* num_sequences = nullptr;
  int64_t tokens = 0;     // rows of the query, pad rows included
  int64_t sequences = 0;  // the same of sequences
  int64_t num_pages = 0;  // of the cache
  int64_t max_pages = 0;  // of a sequence
  int max_spans = 0;      // of max_pages
  int num_heads = 0;
  int kv_heads = 0;
  int group_size = 0;  // query heads per kv head
  int page_size = 0;
  int head_dim = 0;
  float scale = 0;  // includes log2(e)
  // What split steps keep: [min(tokens, kMaxSplitTokens), heads] numbers of spans, then [.., spans,
  // 2 + head_dim] floats.
  float* workspace = nullptr;

  bool is_split() const { return tokens <= kMaxSplitTokens && max_spans > 1; }
};

void launch_paged_attention(const AttentionCall& call, gpuStream_t stream);

}  // namespace musaic
