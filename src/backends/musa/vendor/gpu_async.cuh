#pragma once

#include "backends/musa/vendor/gpu_vendor.h"

// Copies of 16 bytes from global into shared memory, which other vendors run while a block computes. Here the
// thread makes them at once.
namespace musaic {

// REQUIRES: both addresses are multiples of 16. Without `is_there` zeros are written.
__device__ inline void copy_async(void* shared, const void* global, bool is_there) {
  *static_cast<uint4*>(shared) = is_there ? *static_cast<const uint4*>(global) : make_uint4(0, 0, 0, 0);
}
// Ends a group of the thread's copies.
__device__ inline void end_copy_group() {}
// Until all but the thread's last kGroups groups have arrived; the others of the block learn it by a barrier.
template <int kGroups>
__device__ void wait_for_copies() {}

}  // namespace musaic
