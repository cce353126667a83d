#pragma once

#include "backends/gpu/weight_packet.cuh"
#include "gpu_launch.cuh"
#include "ops/linear/linear_gpu.h"

namespace musaic {

inline constexpr int kStripes = 8;

__device__ inline float bias_value(const void* bias, DType dtype, int64_t column) {
  if (dtype == DType::kF16) return to_float(static_cast<const __half*>(bias)[column]);
  if (dtype == DType::kBF16) return to_float(static_cast<const gpuBfloat16*>(bias)[column]);
  return static_cast<const float*>(bias)[column];
}

// The stripes' sums as one, in the order of sum_of_stripes: in every lane of eight neighbours.
__device__ inline float sum_over_lanes(float sum) {
  for (int distance = 1; distance < kStripes; distance *= 2)
    sum += __shfl_xor_sync(0xffffffffu, sum, distance);
  return sum;
}

__device__ inline float sum_of_stripes(const float (&s)[kStripes]) {
  return ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]));
}

}  // namespace musaic
