#pragma once

#include <cstdint>
#include <type_traits>

#include "backends/gpu/device_rows.h"
#include "gpu_vendor.h"

// What device code shares: typed rows, float conversions, reductions in a fixed order.
namespace musaic {

// The number of leading rows that are real, read when the work runs. `live` null: all of them.
__device__ inline int64_t live_count(const int32_t* live, int64_t rows) {
  return live == nullptr || *live > rows ? rows : *live;
}

// A breach of an op's contract that only data show: ends the process, as CHECK does on the CPU.
__device__ inline void stop_device() {
  __trap();
}

template <class T>
__device__ T* row_of(const DeviceRows& rows, int64_t index) {
  T* data = static_cast<T*>(rows.data);
  if (rows.inner == 1) return data + index * rows.outer_stride;
  return data + index / rows.inner * rows.outer_stride + index % rows.inner * rows.inner_stride;
}

__device__ inline float to_float(float value) {
  return value;
}
__device__ inline float to_float(__half value) {
  return __half2float(value);
}
__device__ inline float to_float(gpuBfloat16 value) {
  return __bfloat162float(value);
}

// Rounded to nearest even.
template <class T>
__device__ T from_float(float value);
template <>
__device__ inline float from_float<float>(float value) {
  return value;
}
template <>
__device__ inline __half from_float<__half>(float value) {
  return __float2half_rn(value);
}
template <>
__device__ inline gpuBfloat16 from_float<gpuBfloat16>(float value) {
  return __float2bfloat16_rn(value);
}

// Two values as bf16, the first in the lower half.
__device__ inline uint32_t bf16_pair(float low, float high) {
  const gpuBfloat162 pair = __floats2bfloat162_rn(low, high);
  return static_cast<uint32_t>(__bfloat16_as_ushort(pair.x)) |
         static_cast<uint32_t>(__bfloat16_as_ushort(pair.y)) << 16;
}

// The sum over the warp, in every lane.
__device__ inline float warp_sum(float value) {
  for (int distance = kWarpSize / 2; distance > 0; distance /= 2)
    value += __shfl_xor_sync(0xffffffffu, value, distance);
  return value;
}

// The sum over the block, in every thread; the order depends on the block's size only. REQUIRES: every thread
// of the block takes part; whole warps, at most 32 of them; `scratch` is shared, 32 values, and not in use.
__device__ inline float block_sum(float value, float* scratch) {
  const int warps = static_cast<int>(blockDim.x) / kWarpSize;
  value = warp_sum(value);
  if (threadIdx.x % kWarpSize == 0) scratch[threadIdx.x / kWarpSize] = value;
  __syncthreads();
  float sum = 0.0f;
  for (int warp = 0; warp < warps; ++warp) sum += scratch[warp];
  __syncthreads();
  return sum;
}

// Calls `use` with a null pointer of the float type that dtype names: `[](auto* type)`.
template <class Use>
void with_float_type(DType dtype, Use use) {
  if (dtype == DType::kF16) return use(static_cast<__half*>(nullptr));
  if (dtype == DType::kBF16) return use(static_cast<gpuBfloat16*>(nullptr));
  return use(static_cast<float*>(nullptr));
}

}  // namespace musaic
