#pragma once

// MUSA's runtime under the names of src/backends/gpu. The SDK's headers and libraries are those of MUSA 3.1
// and later (docs/MUSA.md).
#include <musa_runtime.h>

#if defined(__MUSACC__)
#include <musa_bf16.h>
#include <musa_fp16.h>
#endif

namespace musaic {

inline constexpr const char* kGpuDeviceType = "musa";
inline constexpr int kWarpSize = 32;  // the lanes that kernels take together, of waves of 128 before mp_31
inline constexpr bool kHasSm90Kernels = false;

using gpuError_t = musaError_t;
using gpuStream_t = musaStream_t;
using gpuGraph_t = musaGraph_t;
inline constexpr gpuError_t gpuSuccess = musaSuccess;

inline gpuError_t gpuGetLastError() {
  return musaGetLastError();
}
inline const char* gpuGetErrorString(gpuError_t error) {
  return musaGetErrorString(error);
}

#if defined(__MUSACC__)
using gpuBfloat16 = __mt_bfloat16;
using gpuBfloat162 = __mt_bfloat162;
#endif

#if defined(__MUSA_ARCH__) && __MUSA_ARCH__ < 310
// Waves of 128 lanes: the exchanges of kernels stay among aligned groups of kWarpSize. They hide the global
// functions of their names.
template <class T>
__device__ T __shfl_sync(unsigned lanes, T value, int lane) {
  return ::__shfl_sync(lanes, value, lane, kWarpSize);
}
template <class T>
__device__ T __shfl_up_sync(unsigned lanes, T value, unsigned distance) {
  return ::__shfl_up_sync(lanes, value, distance, kWarpSize);
}
template <class T>
__device__ T __shfl_down_sync(unsigned lanes, T value, unsigned distance) {
  return ::__shfl_down_sync(lanes, value, distance, kWarpSize);
}
template <class T>
__device__ T __shfl_xor_sync(unsigned lanes, T value, int distance) {
  return ::__shfl_xor_sync(lanes, value, distance, kWarpSize);
}
__device__ inline unsigned __ballot_sync(unsigned lanes, bool vote) {
  unsigned votes = vote ? 1u << (threadIdx.x % kWarpSize) : 0u;
  for (int distance = kWarpSize / 2; distance > 0; distance /= 2)
    votes |= musaic::__shfl_xor_sync(lanes, votes, distance);
  return votes;
}
#endif

}  // namespace musaic
