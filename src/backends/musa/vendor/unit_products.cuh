#pragma once

#include <musa_fp8.h>

#include <cstdint>

#include "backends/musa/vendor/gpu_vendor.h"

// Products of a [16, 16] and a [16, 8] matrix by the matrix unit of mp_31, whose waves have 32 lanes. Where
// its values lie is what MUTLASS and TileLang for MUSA say, in which lane 4g + t has
//   left   row g at the columns 2t, 2t + 1, then at 2t + 8, 2t + 9, then row g + 8 at the same ones
//   right  as gpu_narrow_matrix.cuh has it
// and lane 8q + n has
//   sum    rows q, q + 4, q + 8, q + 12 of column n
namespace musaic {

// Of the compiler's function for them, as MUTLASS calls it.
inline constexpr int kNeighboursAlongK = 1;  // in the words of both factors
inline constexpr int kF16Factors = 2;
inline constexpr int kBf16Factors = 3;

// From rows q and q + 4 of column n to columns 2t and 2t + 1 of row g. In each of two rounds a lane gives one
// of its values, and reads what the lane of an even or of an odd column gives.
__device__ inline void exchange_rows(float& first, float& second) {
  const int lane = static_cast<int>(threadIdx.x % kWarpSize);
  const bool gives_second = lane % 2 != 0, is_lower_half = lane >= kWarpSize / 2;
  const int even_column = lane / 4 % 4 * 8 + lane % 4 * 2;
  const int odd_first = is_lower_half ? 1 : 0;
  const float a = __shfl_sync(0xffffffffu, gives_second ? second : first, even_column + odd_first);
  const float b = __shfl_sync(0xffffffffu, gives_second ? first : second, even_column + 1 - odd_first);
  first = is_lower_half ? b : a;
  second = is_lower_half ? a : b;
}

template <int kFactors>
struct UnitProduct {
  static __device__ void add_unordered(float (&sum)[4], const uint32_t (&left)[4],
                                       const uint32_t (&right)[2]) {
    const int a[4] = {static_cast<int>(left[0]), static_cast<int>(left[2]), static_cast<int>(left[1]),
                      static_cast<int>(left[3])};
    const int b[2] = {static_cast<int>(right[0]), static_cast<int>(right[1])};
    int words[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) words[i] = __float_as_int(sum[i]);
    __musa_wmma_m16n8k16_mma(words, a, b, words, 0, 0, 0, /*saturates=*/0, /*format=*/0, kNeighboursAlongK,
                             kFactors);
#pragma unroll
    for (int i = 0; i < 4; ++i) sum[i] = __int_as_float(words[i]);
  }
  static __device__ void order(float (&sum)[4]) {
    exchange_rows(sum[0], sum[1]);
    exchange_rows(sum[2], sum[3]);
  }
  static __device__ void add(float (&sum)[4], const uint32_t (&left)[4], const uint32_t (&right)[2]) {
    float product[4] = {};
    add_unordered(product, left, right);
    order(product);
#pragma unroll
    for (int i = 0; i < 4; ++i) sum[i] += product[i];
  }
};
using Bf16Product = UnitProduct<kBf16Factors>;
using F16Product = UnitProduct<kF16Factors>;

// Two values of FP8 (e4m3) as f16, the first in the low half.
__device__ inline uint32_t f8e4m3_as_f16(uint32_t pair) {
  __mt_fp8x2_e4m3 values;
  values.__x = static_cast<__mt_fp8x2_storage_t>(pair);
  const __half2 both = static_cast<__half2>(values);
  return __half_as_ushort(__low2half(both)) | static_cast<uint32_t>(__half_as_ushort(__high2half(both)))
                                                  << 16;
}

}  // namespace musaic
