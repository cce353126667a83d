#pragma once

#include "backends/cuda/vendor/gpu_vendor.h"

// Launches of kernels of compute capability 9.0, which fill a multiprocessor alone.
namespace musaic {

// launch_kernel with so many bytes of dynamic shared memory a block.
template <class... Parameters, class... Arguments>
void launch_hopper_kernel(void (*kernel)(Parameters...), int64_t blocks, int threads, size_t shared_bytes,
                          gpuStream_t stream, const Arguments&... arguments) {
  if (blocks == 0) return;
  cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared_bytes));
  cudaLaunchAttribute dependent = {};
  dependent.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  dependent.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3(static_cast<unsigned>(blocks));
  config.blockDim = dim3(static_cast<unsigned>(threads));
  config.dynamicSmemBytes = shared_bytes;
  config.stream = stream;
  config.attrs = &dependent;
  config.numAttrs = 1;
  cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...);
}

}  // namespace musaic
