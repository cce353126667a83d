#pragma once

// What GPU sources (`*.cu`, src/backends/gpu) use of the vendor's runtime, under names of no vendor. Each GPU
// backend brings a header of this name; its folder is on the include path of its build alone.
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp8.h>
#include <cuda_runtime.h>

namespace musaic {

inline constexpr const char* kGpuDeviceType = "cuda";
inline constexpr int kWarpSize = 32;
inline constexpr bool kHasSm90Kernels = true;  // sources *_sm90.cu

using gpuError_t = cudaError_t;
using gpuStream_t = cudaStream_t;
using gpuGraph_t = cudaGraph_t;
using gpuBfloat16 = __nv_bfloat16;
using gpuBfloat162 = __nv_bfloat162;
inline constexpr gpuError_t gpuSuccess = cudaSuccess;

inline gpuError_t gpuGetLastError() {
  return cudaGetLastError();
}
inline const char* gpuGetErrorString(gpuError_t error) {
  return cudaGetErrorString(error);
}

}  // namespace musaic
