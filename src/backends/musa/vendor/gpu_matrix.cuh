#pragma once

#include "backends/musa/vendor/gpu_narrow_matrix.cuh"
#include "backends/musa/vendor/gpu_vendor.h"

// Products of 16 × 16 matrices by a warp's matrix unit: bf16 factors, float32 sums. Every lane of the warp
// takes part; a matrix is spread over the lanes in the vendor's order. Addresses are multiples of 32 bytes.
#if defined(__MUSA_ARCH__) && __MUSA_ARCH__ < 310
// The matrix unit of earlier hardware works on waves of 128 lanes.
#include "backends/musa/vendor/lane_matrix.cuh"
#else
#include <mma.h>

namespace musaic {

inline constexpr int kMatrixSize = 16;

using MatrixSum = mtmusa::wmma::fragment<mtmusa::wmma::accumulator, 16, 16, 16, float>;
using LeftMatrix =
    mtmusa::wmma::fragment<mtmusa::wmma::matrix_a, 16, 16, 16, gpuBfloat16, mtmusa::wmma::row_major>;
using RightMatrix =
    mtmusa::wmma::fragment<mtmusa::wmma::matrix_b, 16, 16, 16, gpuBfloat16, mtmusa::wmma::col_major>;

__device__ inline void clear(MatrixSum& sum) {
  mtmusa::wmma::fill_fragment(sum, 0.0f);
}
// Rows of the left matrix, columns of the right one: 16 neighbouring values each, `stride` values apart.
template <class Matrix>
__device__ inline void load(Matrix& matrix, const gpuBfloat16* from, unsigned stride) {
  mtmusa::wmma::load_matrix_sync(matrix, from, stride);
}
// sum += left · right
__device__ inline void add_product(MatrixSum& sum, const LeftMatrix& left, const RightMatrix& right) {
  mtmusa::wmma::mma_sync(sum, left, right, sum);
}
__device__ inline void store(float* rows, unsigned stride, const MatrixSum& sum) {
  mtmusa::wmma::store_matrix_sync(rows, sum, stride, mtmusa::wmma::mem_row_major);
}

}  // namespace musaic
#endif
