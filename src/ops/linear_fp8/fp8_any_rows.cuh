#pragma once

#include "ops/linear_fp8/fp8_tile.cuh"

// At any address and width, slowly.
namespace musaic {

inline constexpr int kAnyColumns = kScaleGroup;  // a thread each

__device__ inline float f8e4m3_value(uint8_t bits) {
  return half_value(f8e4m3_as_f16(bits) & 0xFFFFu);
}

// One row's value of the thread's column of the tile.
__device__ inline float any_sum(const Fp8Operands& operands, const Fp8Tile& tile, int64_t x_row) {
  const uint8_t* q = operands.q + x_row * operands.k;
  const uint8_t* weight = tile.weight + threadIdx.x * operands.k;
  const int64_t groups = operands.groups();
  float total = 0.0f;
  for (int64_t group = 0; group < groups; ++group) {
    const int64_t end = group + 1 == groups ? operands.k : (group + 1) * kScaleGroup;
    float sum = 0.0f;
    for (int64_t k = group * kScaleGroup; k < end; ++k)
      sum = fmaf(f8e4m3_value(q[k]), f8e4m3_value(weight[k]), sum);
    total = fmaf(sum, operands.scale[x_row * groups + group] * tile.weight_scale[group], total);
  }
  return total;
}

// Every kStep-th row of the tile.
__device__ inline void sum_any_rows(const Fp8Operands& operands, const Fp8Tile& tile, int step) {
  if (static_cast<int>(threadIdx.x) >= tile.columns) return;
  for (int row = 0; row < tile.rows; row += step) {
    const int64_t y_row = tile.first_row + row;
    write_fp8(operands, y_row, tile.first_column + threadIdx.x,
              any_sum(operands, tile, operands.x_row(y_row)));
  }
}

}  // namespace musaic
