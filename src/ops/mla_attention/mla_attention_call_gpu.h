#pragma once

#include "ir/registry.h"
#include "ops/mla_attention/mla_attention_gpu.h"

// What the kernels of latent attention are told of a call.
namespace musaic::mla {

inline constexpr double kLog2E = 1.4426950408889634;
inline constexpr int kMaxWidth = 1024;  // of a cached row
inline constexpr int64_t kBlock = 128;  // of kv_b's scales

enum Input { kQuery, kCache, kQueryStart, kKvLengths, kPageTable, kNumSequences, kKvB, kKvBScale };

inline int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

inline int64_t min(int64_t a, int64_t b) {
  return a < b ? a : b;
}

// A call that a kernel of any sizes computes.
inline bool supports(const KernelQuery& query) {
  return query.inputs[kQuery]->dtype == DType::kF32 && query.inputs[kCache]->dim(3).constant() <= kMaxWidth;
}

inline bool is_half(DType dtype) {
  return dtype == DType::kF16 || dtype == DType::kBF16;
}

// The sizes of DeepSeek-V2 and V3, and a cache of 16-bit values.
inline bool has_expanded_sizes(DType cache, int64_t width, DType kv_b, int64_t rank, int64_t kv_rows,
                               int64_t heads, int64_t query_width) {
  return is_half(cache) && width == kMlaMatrixWidth && rank == kMlaMatrixRank &&
         (kv_b == DType::kF8E4M3 || kv_b == DType::kBF16) && kv_rows == heads * 2 * kBlock &&
         query_width == heads * (kBlock + width - rank);
}

inline bool has_expanded_sizes(const KernelQuery& query) {
  const Meta &cache = *query.inputs[kCache], &kv_b = *query.inputs[kKvB];
  return has_expanded_sizes(cache.dtype, cache.dim(3).constant(), kv_b.dtype, kv_b.dim(1).constant(),
                            kv_b.dim(0).constant(), query.attributes.get_int("num_heads"),
                            query.inputs[kQuery]->dim(1).constant());
}

inline Dim positions_of(const KernelQuery& query) {  // that a sequence may have
  return query.inputs[kPageTable]->dim(1) * query.inputs[kCache]->dim(2);
}

inline int64_t positions_of(const MlaAttentionCall& call) {
  return call.cache.max_pages * call.cache.page_size;
}

inline MlaAttentionCall call_of(const KernelCall& call) {
  const auto in = call.inputs;
  const Shape& cache = in[kCache].shape;
  return {.query = in[kQuery].as<const float>(),
          .query_stride = in[kQuery].strides[0],
          .cache = {.data = in[kCache].as<const uint8_t>(),
                    .dtype = in[kCache].dtype,
                    .width = static_cast<int>(cache[3]),
                    .page_size = static_cast<int>(cache[2]),
                    .query_start = in[kQueryStart].as<const int32_t>(),
                    .kv_lengths = in[kKvLengths].as<const int32_t>(),
                    .page_table = in[kPageTable].as<const int32_t>(),
                    .max_pages = in[kPageTable].shape[1],
                    .num_sequences = in[kNumSequences].as<const int32_t>(),
                    .sequences = in[kKvLengths].shape[0]},
          .kv_b = {},
          .tokens = in[kQuery].shape[0],
          .heads = static_cast<int>(call.attributes.get_int("num_heads")),
          .rank = 0,
          .scale = static_cast<float>(call.attributes.get_float("scale") * kLog2E),
          .workspace = call.workspace.as<uint8_t>()};
}

inline void set_out(MlaAttentionCall& work, const Tensor& out) {
  work.out = out.as<float>();
  work.out_stride = out.strides[0];
}

inline void set_kv_b(MlaAttentionCall& work, const KernelCall& call, int64_t value_dim) {
  const Tensor &kv_b = call.inputs[kKvB], &scale = call.inputs[kKvBScale];
  work.rank = static_cast<int>(kv_b.shape[1]);
  work.kv_b = {.data = kv_b.as<const uint8_t>(),
               .dtype = kv_b.dtype,
               .rank = work.rank,
               .nope = static_cast<int>(kv_b.shape[0] / work.heads - value_dim),
               .value_dim = static_cast<int>(value_dim)};
  if (!scale.defined()) return;
  work.kv_b.scale = scale.as<const float>();
  work.kv_b.scale_columns = scale.shape[1];
}

// Vectors of 16 bytes lie at multiples of them.
inline bool is_aligned(const MlaAttentionCall& call) {
  return reinterpret_cast<uintptr_t>(call.query) % 16 == 0 && call.query_stride % 4 == 0 &&
         reinterpret_cast<uintptr_t>(call.cache.data) % 16 == 0 &&
         reinterpret_cast<uintptr_t>(call.kv_b.data) % 16 == 0;
}

}  // namespace musaic::mla
