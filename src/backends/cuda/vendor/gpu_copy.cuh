#pragma once

#include <cuda_pipeline.h>

#include "backends/cuda/vendor/gpu_vendor.h"

// Reads of device code that say how the data will be used.
namespace musaic {

// 16 bytes of a weight, which no kernel writes and this multiprocessor will not read again; neighbours up to
// 128 bytes are wanted too.
__device__ inline uint4 load_once(const uint8_t* from) {
  uint4 value;
  asm volatile("ld.global.L1::no_allocate.L2::128B.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(value.x), "=r"(value.y), "=r"(value.z), "=r"(value.w)
               : "l"(from));
  return value;
}

// Starts to bring what lies at the address near: a weight that is wanted soon.
__device__ inline void prefetch(const void* from) {
  asm volatile("prefetch.global.L2 [%0];" ::"l"(from));
}

// Brings 16 bytes into shared memory while the thread goes on; zeros where there is nothing to read.
__device__ inline void start_copy(void* to, const void* from, bool is_there) {
  __pipeline_memcpy_async(to, from, 16, is_there ? 0 : 16);
}
// The thread's copies since the last batch are a batch, which may be empty.
__device__ inline void end_batch() {
  __pipeline_commit();
}
// Until at most kUnderWay of the thread's batches, its last ones, are under way.
template <int kUnderWay>
__device__ void wait_for_batches() {
  __pipeline_wait_prior(kUnderWay);
}

}  // namespace musaic
