#pragma once

#include <mma.h>

#include <cstdint>

#include "backends/cuda/vendor/gpu_narrow_matrix.cuh"
#include "backends/cuda/vendor/gpu_vendor.h"

// Products of 16 × 16 matrices by a warp's matrix unit: bf16 factors, float32 sums. Every lane of the warp
// takes part; a matrix is spread over the lanes in the vendor's order. Addresses are multiples of 32 bytes.
// Products whose order is known come along (gpu_narrow_matrix.cuh).
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

// Two values of FP8 (e4m3) as f16, the first in the low half.
__device__ inline uint32_t f8e4m3_as_f16(uint32_t pair) {
  const __half2_raw both = __nv_cvt_fp8x2_to_halfraw2(static_cast<__nv_fp8x2_storage_t>(pair), __NV_E4M3);
  return both.x | static_cast<uint32_t>(both.y) << 16;
}

}  // namespace musaic
