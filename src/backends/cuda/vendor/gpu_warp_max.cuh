#pragma once

#include "backends/cuda/vendor/gpu_vendor.h"

namespace musaic {

// The largest value of the warp, in every lane; any where one is no number.
__device__ inline float warp_max(float value) {
#if __CUDA_ARCH__ >= 800
  // As integers of that order: below zero, all bits but the sign are turned around.
  const int bits = __float_as_int(value);
  const int largest = __reduce_max_sync(0xffffffffu, bits ^ (bits >> 31 & 0x7fffffff));
  return __int_as_float(largest ^ (largest >> 31 & 0x7fffffff));
#else
  for (int distance = kWarpSize / 2; distance > 0; distance /= 2)
    value = fmaxf(value, __shfl_xor_sync(0xffffffffu, value, distance));
  return value;
#endif
}

}  // namespace musaic
