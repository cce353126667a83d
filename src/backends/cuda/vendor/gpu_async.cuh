#pragma once

#include "backends/cuda/vendor/gpu_vendor.h"

// Copies of 16 bytes from global into shared memory that run while a block computes.
namespace musaic {

// REQUIRES: both addresses are multiples of 16. Without `is_there` zeros are written.
__device__ inline void copy_async(void* shared, const void* global, bool is_there) {
  const unsigned to = static_cast<unsigned>(__cvta_generic_to_shared(shared));
  const int bytes = is_there ? 16 : 0;
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(global), "r"(bytes) : "memory");
}
// Ends a group of the thread's copies.
__device__ inline void end_copy_group() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}
// Until all but the thread's last kGroups groups have arrived; the others of the block learn it by a barrier.
template <int kGroups>
__device__ void wait_for_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kGroups) : "memory");
}

}  // namespace musaic
