#pragma once

#include <cstdint>

#include "backends/musa/vendor/gpu_vendor.h"

// Products of a [16, 16] and a [16, 8] matrix whose values lie in known lanes, by the lanes themselves:
// before mp_31 the matrix unit works on waves of 128 lanes.
namespace musaic {

__device__ inline float f16_of(uint32_t word, int index) {
  return __half2float(__ushort_as_half(static_cast<unsigned short>(word >> 16 * index)));
}
__device__ inline float bf16_of(uint32_t word, int index) {
  return __uint_as_float(word >> 16 * index << 16);
}

// sum += left · right as gpu_narrow_matrix.cuh of CUDA says where values lie: two of 16 bits a word, the
// first in the low half; lane 4g + t has
//   left   words 0 and 2 of row g, 1 and 3 of row g + 8: columns 2t, 2t + 1, in words 2 and 3 8 columns on
//   right  of column g: rows 2t, 2t + 1 in word 0, 2t + 8, 2t + 9 in word 1
//   sum    columns 2t, 2t + 1 of row g in 0 and 1, of row g + 8 in 2 and 3
//
// A function that is called: in each of a kernel's many products it would take a compiler minutes.
template <float (*value_of)(uint32_t word, int index)>
__device__ __noinline__ float4 lane_product(float4 sum, uint4 left, uint2 right) {
  const int lane = static_cast<int>(threadIdx.x % kWarpSize);
  const int row = lane / 4;
  const int column = lane % 4 * 2;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
#pragma unroll
    for (int t = 0; t < 4; ++t) {
      const uint32_t upper = __shfl_sync(0xffffffffu, half == 0 ? left.x : left.z, 4 * row + t);
      const uint32_t lower = __shfl_sync(0xffffffffu, half == 0 ? left.y : left.w, 4 * row + t);
      const uint32_t even = __shfl_sync(0xffffffffu, half == 0 ? right.x : right.y, 4 * column + t);
      const uint32_t odd = __shfl_sync(0xffffffffu, half == 0 ? right.x : right.y, 4 * (column + 1) + t);
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        sum.x += value_of(upper, i) * value_of(even, i);
        sum.y += value_of(upper, i) * value_of(odd, i);
        sum.z += value_of(lower, i) * value_of(even, i);
        sum.w += value_of(lower, i) * value_of(odd, i);
      }
    }
  }
  return sum;
}
template <float (*value_of)(uint32_t word, int index)>
__device__ inline void add_lane_product(float (&sum)[4], const uint32_t (&left)[4],
                                        const uint32_t (&right)[2]) {
  const float4 added =
      lane_product<value_of>(make_float4(sum[0], sum[1], sum[2], sum[3]),
                             make_uint4(left[0], left[1], left[2], left[3]), make_uint2(right[0], right[1]));
  sum[0] = added.x, sum[1] = added.y, sum[2] = added.z, sum[3] = added.w;
}

template <float (*value_of)(uint32_t word, int index)>
struct LaneProduct {
  static __device__ void add(float (&sum)[4], const uint32_t (&left)[4], const uint32_t (&right)[2]) {
    add_lane_product<value_of>(sum, left, right);
  }
  static __device__ void add_unordered(float (&sum)[4], const uint32_t (&left)[4],
                                       const uint32_t (&right)[2]) {
    add(sum, left, right);
  }
  static __device__ void order(float (&)[4]) {}
};
using Bf16Product = LaneProduct<bf16_of>;
using F16Product = LaneProduct<f16_of>;

// Two values of FP8 (e4m3, none of them NaN) as f16, the first in the low half.
__device__ inline uint32_t f8e4m3_as_f16(uint32_t pair) {
  uint32_t both = 0;
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const uint32_t bits = pair >> 8 * i & 0xff;
    const float scaled = f16_of((bits & 0x80) << 8 | (bits & 0x7f) << 7, 0);
    constexpr float kBias = 256.0f;  // 2 to the difference of the exponents' biases, 15 and 7
    both |= static_cast<uint32_t>(__half_as_ushort(__float2half_rn(scaled * kBias))) << 16 * i;
  }
  return both;
}

}  // namespace musaic
