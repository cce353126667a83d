#pragma once

#include "backends/cuda/vendor/gpu_vendor.h"

// How device sources launch kernels and follow one another.
namespace musaic {

// In every kernel that launch_kernel launches, in every thread, before it reads or writes anything but
// weights and what the host brings for a step (the number of live rows, where sequences lie): until here it
// may have been started while the one before it in the stream still ran, and one before that where the one
// before it has called let_next_kernel_start. From here on the next one may be.
__device__ inline void wait_for_previous_kernel() {
#if __CUDA_ARCH__ >= 900
  cudaGridDependencySynchronize();
  cudaTriggerProgrammaticLaunchCompletion();
#endif
}

// Asked of the driver once: a process uses GPUs of one kind.
inline bool has_dependent_launch() {
  constexpr int kFirstMajor = 9;  // compute capability
  static const bool has = [] {
    int device = 0;
    int major = 0;
    cudaGetDevice(&device);
    cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
    return major >= kFirstMajor;
  }();
  return has;
}

// kernel<<<grid, block, shared_bytes, stream>>>(arguments...), set up while the kernel before it finishes
// where the device can. Errors are left to gpuGetLastError. Nothing is launched for an empty grid. REQUIRES:
// one size of shared memory a kernel.
template <class... Parameters, class... Arguments>
void launch_kernel_with_shared(void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t shared_bytes,
                               gpuStream_t stream, const Arguments&... arguments) {
  constexpr size_t kAlwaysAllowed = 48 << 10;
  if (shared_bytes > kAlwaysAllowed)
    cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared_bytes));
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
  cudaLaunchAttribute dependent = {};
  dependent.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  dependent.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config = {};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = shared_bytes;
  config.stream = stream;
  config.attrs = &dependent;
  config.numAttrs = has_dependent_launch() ? 1 : 0;
  cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...);
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
  int count = 0;
  cudaGetDevice(&device);
  cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device);
  return count;
}

}  // namespace musaic
