#pragma once

#include "backends/musa/vendor/gpu_vendor.h"

// The matrices of gpu_matrix.cuh without a matrix unit: a lane has half a row (of the right matrix: half a
// column), eight neighbouring values.
namespace musaic {

inline constexpr int kMatrixSize = 16;
inline constexpr int kLaneValues = kMatrixSize / 2;

struct MatrixSum {
  float values[kLaneValues];
};
struct alignas(16) HalfMatrixRow {
  gpuBfloat16 values[kLaneValues];
};
struct LeftMatrix : HalfMatrixRow {};
struct RightMatrix : HalfMatrixRow {};

__device__ inline void clear(MatrixSum& sum) {
  for (float& value : sum.values) value = 0.0f;
}
template <class Matrix>
__device__ inline void load(Matrix& matrix, const gpuBfloat16* from, unsigned stride) {
  const unsigned lane = threadIdx.x % kWarpSize;
  const gpuBfloat16* half_row = from + static_cast<size_t>(lane / 2) * stride + lane % 2 * kLaneValues;
  static_cast<HalfMatrixRow&>(matrix) = *reinterpret_cast<const HalfMatrixRow*>(half_row);
}
// The value at `index` of row `row`, from the lane that has it.
__device__ inline float value_at(const HalfMatrixRow& matrix, int row, int index) {
  const float mine = __bfloat162float(matrix.values[index % kLaneValues]);
  return __shfl_sync(0xffffffffu, mine, row * 2 + index / kLaneValues);
}
__device__ inline void add_product(MatrixSum& sum, const LeftMatrix& left, const RightMatrix& right) {
  const int lane = static_cast<int>(threadIdx.x % kWarpSize);
#pragma unroll
  for (int k = 0; k < kMatrixSize; ++k) {
    const float factor = value_at(left, lane / 2, k);
#pragma unroll
    for (int i = 0; i < kLaneValues; ++i) {
      const float low = value_at(right, i, k);
      const float high = value_at(right, kLaneValues + i, k);
      sum.values[i] += factor * (lane % 2 == 0 ? low : high);
    }
  }
}
__device__ inline void store(float* rows, unsigned stride, const MatrixSum& sum) {
  const unsigned lane = threadIdx.x % kWarpSize;
  float* half_row = rows + static_cast<size_t>(lane / 2) * stride + lane % 2 * kLaneValues;
  for (int i = 0; i < kLaneValues; ++i) half_row[i] = sum.values[i];
}

}  // namespace musaic
