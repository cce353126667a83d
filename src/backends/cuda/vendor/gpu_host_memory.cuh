#pragma once

#include "backends/cuda/vendor/gpu_vendor.h"

// What kernels need that reach page-locked memory of the host.
namespace musaic {

// What it holds now.
template <class T>
__device__ T load_from_host(const T* from) {
  return __ldcv(from);
}

// As wait_for_previous_kernel, in a kernel that brings what the next ones read before they wait: none of them
// starts before its last block has ended.
__device__ inline void wait_and_hold_next_kernel() {
#if __CUDA_ARCH__ >= 900
  cudaGridDependencySynchronize();
#endif
}

}  // namespace musaic
