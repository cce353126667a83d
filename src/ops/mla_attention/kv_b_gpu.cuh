#pragma once

#include "backends/gpu/weight_packet.cuh"
#include "gpu_matrix.cuh"
#include "ops/mla_attention/kv_b_gpu.h"

namespace musaic {

__device__ inline float f8e4m3_value(uint32_t byte) {
  return half_value(f8e4m3_as_f16(byte) & 0xFFFFu);
}

// One value of kv_b, with its scale, for kernels of any sizes.
__device__ inline float kv_b_value(const KvBGpu& kv_b, int64_t row, int64_t column) {
  constexpr int kBlock = 128;
  const int64_t index = row * kv_b.rank + column;
  switch (kv_b.dtype) {
    case DType::kF8E4M3:
      return f8e4m3_value(kv_b.data[index]) * kv_b.scale[row / kBlock * kv_b.scale_columns + column / kBlock];
    case DType::kBF16:
      return __uint_as_float(static_cast<uint32_t>(reinterpret_cast<const uint16_t*>(kv_b.data)[index])
                             << 16);
    case DType::kF16:
      return half_value(reinterpret_cast<const uint16_t*>(kv_b.data)[index]);
    default:
      return reinterpret_cast<const float*>(kv_b.data)[index];
  }
}

}  // namespace musaic
