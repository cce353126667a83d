#pragma once

#include "ops/attention/attention_gpu.h"

namespace musaic {

// A row's result is a sum over spans of so many positions, each a sum over eight stripes, which take turns at
// blocks of 16 positions; all counted from position 0.
inline constexpr int kMatrixSpan = 1024;
// Query heads per kv head that a step with new rows may have.
inline constexpr int kMaxNewGroup = 8;

// The keys and values of a step whose sequences have one row each, which are rotated and stored on the way.
struct NewRows {
  const float* key = nullptr;  // [tokens, kv_heads · head_dim]; null: all is stored already
  const float* value = nullptr;
  int64_t key_stride = 0;
  int64_t value_stride = 0;
  const float* cos_sin = nullptr;  // [tokens, head_dim]
  int64_t cos_sin_stride = 0;
  const int32_t* slots = nullptr;
  bool interleaved = false;
};

// Whether the kernel below takes such a cache.
bool attends_by_matrix(DType cache_dtype, int64_t head_dim);

// musaic::paged_attention by matrix units. Over a bf16 cache a scaled query and a weight are rounded to bf16;
// over an f16 one they are two parts of 16 bits that add up to nearly all of their float32 value. With new
// rows: row s is the last position of sequence s, and its key and value are rotated, stored and used; the
// positions before it, the lengths and the page table were written before the step, and are read before the
// kernel waits for the one before it. REQUIRES: caches and new rows at addresses of 16 bytes.
void launch_attention_matrix(const AttentionCall& call, const NewRows& rows, gpuStream_t stream);

}  // namespace musaic
