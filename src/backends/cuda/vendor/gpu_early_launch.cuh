#pragma once

#include "backends/cuda/vendor/gpu_vendor.h"

namespace musaic {

// In every thread, before wait_for_previous_kernel, of a kernel that has asked for all its weights: the next
// one may be started from here on, while this one waits and those before it still run. REQUIRES: the next one
// reads nothing before its own wait that a kernel has written in the same step.
__device__ inline void let_next_kernel_start() {
#if __CUDA_ARCH__ >= 900
  cudaTriggerProgrammaticLaunchCompletion();
#endif
}

}  // namespace musaic
