#pragma once

#include "backends/gpu/row_packs.cuh"
#include "ops/quantize/quantize_gpu.h"

namespace musaic {

inline constexpr int kQuantizedBlock = 32;
inline constexpr int kBlockLanes = kQuantizedBlock / kPackWidth<float>;  // neighbours that share a block

// Writes one block of quantize_q8 from the packs of kBlockLanes neighbouring lanes; `column` is the pack's in
// `row`. REQUIRES: every lane of the warp calls it; those of one block have `active` alike.
__device__ inline void quantize_pack(const float (&values)[4], const QuantizedRowsOut& out, int64_t row,
                                     int64_t column, bool active) {
  constexpr float kLargest = 127.0f;
  float largest = 0.0f;
#pragma unroll
  for (int i = 0; i < 4; ++i) largest = fmaxf(largest, fabsf(values[i]));
#pragma unroll
  for (int distance = kBlockLanes / 2; distance > 0; distance /= 2)
    largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, distance));
  const float inverse = largest > 0.0f ? __fdiv_rn(kLargest, largest) : 0.0f;
  int total = 0;
  uint32_t bytes = 0;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int q = max(-128, min(127, __float2int_rn(__fmul_rn(values[i], inverse))));
    total += q;
    bytes |= static_cast<uint32_t>(q & 0xff) << (8 * i);
  }
#pragma unroll
  for (int distance = kBlockLanes / 2; distance > 0; distance /= 2)
    total += __shfl_xor_sync(0xffffffffu, total, distance);
  if (!active) return;
  const int64_t width = out.blocks * kQuantizedBlock;
  *reinterpret_cast<uint32_t*>(out.q + row * width + column) = bytes;
  if (column % kQuantizedBlock != 0) return;
  const int64_t block = row * out.blocks + column / kQuantizedBlock;
  const float scale = __fdiv_rn(largest, kLargest);
  out.scale[block] = scale;
  out.sums[block] = __fmul_rn(scale, static_cast<float>(total));
}

}  // namespace musaic
