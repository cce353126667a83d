#pragma once

#include "backends/musa/vendor/gpu_vendor.h"

namespace musaic {

// The largest value of the warp, in every lane; any where one is no number.
__device__ inline float warp_max(float value) {
  for (int distance = kWarpSize / 2; distance > 0; distance /= 2)
    value = fmaxf(value, __shfl_xor_sync(0xffffffffu, value, distance));
  return value;
}

}  // namespace musaic
