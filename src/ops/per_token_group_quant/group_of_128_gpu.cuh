#pragma once

#include "backends/gpu/row_packs.cuh"
#include "ops/per_token_group_quant/f8_gpu.cuh"
#include "ops/per_token_group_quant/fp8_rows_gpu.h"

namespace musaic {

// Quantizes the group that a whole warp holds, lane l its values 4 · l .. 4 · l + 3, zeros behind the row's
// end. `whole`: packs of q may be stored at once. REQUIRES: column is a multiple of 4, the warp's first one
// of 128.
__device__ inline void quantize_group_of_128(const float (&values)[4], const Fp8RowsOut& out, int64_t row,
                                             int64_t column, bool whole) {
  constexpr float kLeast = 1e-10f, kLargest = 448.0f;
  float largest = 0.0f;
#pragma unroll
  for (int i = 0; i < 4; ++i) largest = fmaxf(largest, fabsf(values[i]));
  for (int distance = kWarpSize / 2; distance > 0; distance /= 2)
    largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, distance));
  if (column >= out.width) return;
  const float scale = __fdiv_rn(fmaxf(largest, kLeast), kLargest);
  if (column % 128 == 0) out.scale[row * ((out.width + 127) / 128) + column / 128] = scale;
  Pack<uint8_t, 4> bytes;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const float held = fmaxf(-kLargest, fminf(__fdiv_rn(values[i], scale), kLargest));
    bytes.values[i] = static_cast<uint8_t>(to_f8e4m3(held));
  }
  uint8_t* q = out.q + row * out.width + column;
  if (whole) {
    *reinterpret_cast<Pack<uint8_t, 4>*>(q) = bytes;
    return;
  }
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    if (column + i < out.width) q[i] = bytes.values[i];
  }
}

}  // namespace musaic
