#pragma once

#include <cstdint>

#include "backends/musa/vendor/gpu_vendor.h"

// Reads of device code that say how the data will be used. Copies into shared memory, which other vendors run
// while the thread goes on, are made at once.
namespace musaic {

// 16 bytes of a weight, which no kernel writes and this multiprocessor will not read again.
__device__ inline uint4 load_once(const uint8_t* from) {
  return *reinterpret_cast<const uint4*>(from);
}

// Where weights are brought near before they are wanted; here they come when they are.
__device__ inline void prefetch(const void*) {}

// Brings 16 bytes into shared memory; zeros where there is nothing to read.
__device__ inline void start_copy(void* to, const void* from, bool is_there) {
  *static_cast<uint4*>(to) = is_there ? *static_cast<const uint4*>(from) : make_uint4(0, 0, 0, 0);
}
// The thread's copies since the last batch are a batch, which may be empty.
__device__ inline void end_batch() {}
// Until at most kUnderWay of the thread's batches, its last ones, are under way.
template <int kUnderWay>
__device__ void wait_for_batches() {}

}  // namespace musaic
