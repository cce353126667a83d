#pragma once

#include <cstdint>

#include "backends/musa/vendor/gpu_vendor.h"

// What kernels need that reach page-locked memory of the host.
namespace musaic {

// What it holds now.
__device__ inline uint32_t load_from_host(const uint32_t* from) {
  return *static_cast<const volatile uint32_t*>(from);
}
__device__ inline uint4 load_from_host(const uint4* from) {
  const uint32_t* words = reinterpret_cast<const uint32_t*>(from);
  return make_uint4(load_from_host(words), load_from_host(words + 1), load_from_host(words + 2),
                    load_from_host(words + 3));
}

// In a kernel that brings what the next ones read; none of them starts before it has ended anyway.
__device__ inline void wait_and_hold_next_kernel() {}

}  // namespace musaic
