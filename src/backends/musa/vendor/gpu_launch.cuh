#pragma once

#include "backends/musa/vendor/gpu_vendor.h"

// How device sources launch kernels and follow one another.
namespace musaic {

// In every kernel that launch_kernel launches, in every thread, before it reads or writes anything but
// weights and what the host brings for a step. MUSA starts no kernel before the one ahead of it in the stream
// has ended.
__device__ inline void wait_for_previous_kernel() {}

// kernel<<<grid, block, shared_bytes, stream>>>(arguments...). Errors are left to gpuGetLastError. Nothing is
// launched for an empty grid. REQUIRES: one size of shared memory a kernel.
template <class... Parameters, class... Arguments>
void launch_kernel_with_shared(void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t shared_bytes,
                               gpuStream_t stream, const Arguments&... arguments) {
  constexpr size_t kAlwaysAllowed = 48 << 10;
  if (shared_bytes > kAlwaysAllowed)
    musaFuncSetAttribute(reinterpret_cast<const void*>(kernel), musaFuncAttributeMaxDynamicSharedMemorySize,
                         static_cast<int>(shared_bytes));
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
  kernel<<<grid, block, shared_bytes, stream>>>(static_cast<Parameters>(arguments)...);
}

// The same without such memory.
template <class... Parameters, class... Arguments>
void launch_kernel(void (*kernel)(Parameters...), dim3 grid, dim3 block, gpuStream_t stream,
                   const Arguments&... arguments) {
  launch_kernel_with_shared(kernel, grid, block, 0, stream, arguments...);
}

// Of the current device.
inline int num_multiprocessors() {
  int device = 0;
  musaDeviceProp properties{};
  musaGetDevice(&device);
  musaGetDeviceProperties(&properties, device);
  return properties.multiProcessorCount;
}

}  // namespace musaic
