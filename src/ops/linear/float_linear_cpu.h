#pragma once

#include <cstdint>

#include "backends/cpu/rows.h"
#include "ops/linear/linear_kernels_cpu.h"

namespace musaic {

// y = x · weightᵀ (+ bias) in float32: addresses and sizes of one call. Also of one expert's rows.
struct FloatLinearWork {
  static constexpr int64_t kScaleBlock = 128;  // rows and columns of an FP8 weight that share a scale

  FloatRows x;
  FloatRows y;
  const uint8_t* weight;  // [y.width, x.width] of any weight type, or FP8 with scales
  DType dtype;
  size_t weight_row_bytes;
  BiasRow bias;
  const int32_t* live_rows = nullptr;
  // FP8: a row of scales for each block of weight rows. The weight may be parts one below the other, each of
  // part_rows rows with blocks of its own.
  const float* weight_scale = nullptr;
  int64_t scale_columns = 0;
  int64_t part_rows = 0;
  int64_t first_weight_row = 0;  // that column 0 of y belongs to

  const uint8_t* weight_row(int64_t row) const {
    return weight + static_cast<size_t>(row) * weight_row_bytes;
  }
  const float* scale_row(int64_t row) const {
    const int64_t blocks = (part_rows + kScaleBlock - 1) / kScaleBlock;
    return weight_scale + (row / part_rows * blocks + row % part_rows / kScaleBlock) * scale_columns;
  }
};

// One task: some rows times some weight columns.
struct FloatTask {
  int64_t first_row, rows;
  int64_t first_column, columns;
};

// Values [first, first + count) of a weight row as float32. REQUIRES: `first` begins a block.
void expand_weight_row(const FloatLinearWork& work, int64_t row, int64_t first, int64_t count, float* out);
void run_float_task(const FloatLinearWork& work, const FloatTask& task);
// How many weight columns a task takes where about `wanted` tasks are to share `columns`.
int64_t float_task_columns(int64_t columns, int64_t k, int64_t wanted);
// The worker's share of the whole call, by worker.next_chunk().
void run_float_linear(const FloatLinearWork& work, const Worker& worker);

}  // namespace musaic
