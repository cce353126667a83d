#pragma once

#include <mma.h>

#include <cstdint>

#include "backends/cuda/vendor/gpu_vendor.h"

// Products of 16 × 16 matrices by a warp's matrix unit: bf16 factors, float32 sums. Every lane of the warp
// takes part; a matrix is spread over the lanes in the vendor's order. Addresses are multiples of 32 bytes.
namespace musaic {

inline constexpr int kMatrixSize = 16;

using MatrixSum = nvcuda::wmma::fragment<nvcuda::wmma::accumulator, 16, 16, 16, float>;
using LeftMatrix =
    nvcuda::wmma::fragment<nvcuda::wmma::matrix_a, 16, 16, 16, gpuBfloat16, nvcuda::wmma::row_major>;
using RightMatrix =
    nvcuda::wmma::fragment<nvcuda::wmma::matrix_b, 16, 16, 16, gpuBfloat16, nvcuda::wmma::col_major>;

__device__ inline void clear(MatrixSum& sum) {
  nvcuda::wmma::fill_fragment(sum, 0.0f);
}
// Rows of the left matrix, columns of the right one: 16 neighbouring values each, `stride` values apart.
template <class Matrix>
__device__ inline void load(Matrix& matrix, const gpuBfloat16* from, unsigned stride) {
  nvcuda::wmma::load_matrix_sync(matrix, from, stride);
}
// sum += left · right
__device__ inline void add_product(MatrixSum& sum, const LeftMatrix& left, const RightMatrix& right) {
  nvcuda::wmma::mma_sync(sum, left, right, sum);
}
__device__ inline void store(float* rows, unsigned stride, const MatrixSum& sum) {
  nvcuda::wmma::store_matrix_sync(rows, sum, stride, nvcuda::wmma::mem_row_major);
}

// sum += left · right of f16 factors, 16 × 16 and 16 × 8, whose places are known: lane 4g + t has
//   left   words 0 and 2 of row g, 1 and 3 of row g + 8: columns 2t, 2t + 1, and in words 2 and 3 2t + 8, 2t
//   + 9 right  of column g: rows 2t, 2t + 1 in word 0, 2t + 8, 2t + 9 in word 1 sum    columns 2t, 2t + 1 of
//   row g in 0 and 1, of row g + 8 in 2 and 3
__device__ inline void add_product(float (&sum)[4], const uint32_t (&left)[4], const uint32_t (&right)[2]) {
#if __CUDA_ARCH__ >= 800
  asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, "
      "%1, %2, %3};"
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
      : "r"(left[0]), "r"(left[1]), "r"(left[2]), "r"(left[3]), "r"(right[0]), "r"(right[1]));
#endif
}
// Two values of FP8 (e4m3) as f16, the first in the low half.
__device__ inline uint32_t f8e4m3_as_f16(uint32_t pair) {
  const __half2_raw both = __nv_cvt_fp8x2_to_halfraw2(static_cast<__nv_fp8x2_storage_t>(pair), __NV_E4M3);
  return both.x | static_cast<uint32_t>(both.y) << 16;
}

// sum += left · right by a warp, all of them spread over the lanes in a known order: left [16, 16], right
// [16, 8], sum [16, 8] in float32. Lane 4 · g + t holds, two 16-bit values a word, the lower one first,
//   left   rows g, g + 8, g, g + 8 at the columns 2t, 2t + 1, of the last two at 2t + 8, 2t + 9
//   right  rows 2t, 2t + 1, then 2t + 8, 2t + 9, of column g
//   sum    columns 2t, 2t + 1 of row g, then of row g + 8
// Which rows of `right` go with which columns of `left` is the caller's: any order of k will do.
struct Bf16Product {
  static __device__ void add(float (&sum)[4], const uint32_t (&left)[4], const uint32_t (&right)[2]) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
        : "r"(left[0]), "r"(left[1]), "r"(left[2]), "r"(left[3]), "r"(right[0]), "r"(right[1]));
  }
};
struct F16Product {
  static __device__ void add(float (&sum)[4], const uint32_t (&left)[4], const uint32_t (&right)[2]) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
        : "r"(left[0]), "r"(left[1]), "r"(left[2]), "r"(left[3]), "r"(right[0]), "r"(right[1]));
  }
};

}  // namespace musaic
