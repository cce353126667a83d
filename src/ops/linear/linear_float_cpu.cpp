#include <algorithm>

#include "backends/cpu/cpu_stream.h"
#include "backends/cpu/highway_targets.h"
#include "backends/cpu/rows.h"
#include "ir/registry.h"
#include "ops/linear/float_linear_cpu.h"
#include "ops/linear/linear_kernels_cpu.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/linear/linear_float_cpu.cpp"
#include "hwy/foreach_target.h"
// after foreach_target.h
#include "backends/cpu/simd.inl"
#include "hwy/highway.h"
#include "ops/linear/dequantize.inl"
#include "ops/linear/dot_tile_cpu.inl"
#include "ops/per_token_group_quant/f8_cpu.inl"

#ifndef MUSAIC_OPS_LINEAR_FLOAT_CPU
#define MUSAIC_OPS_LINEAR_FLOAT_CPU
namespace musaic {

// Sums over k restart here: a panel of weights stays in L2. A multiple of every block size.
constexpr int64_t kChunkValues = 2048;
constexpr int64_t kScratchFloats = 32 << 10;  // a worker's, on its stack
constexpr int64_t kTasksPerWorkerFloat = 8;

}  // namespace musaic
#endif

HWY_BEFORE_NAMESPACE();
namespace musaic {
namespace HWY_NAMESPACE {
namespace {

template <class T>
void convert_row(const T* from, int64_t count, float* out) {
  int64_t i = 0;
  for (; i + static_cast<int64_t>(lanes()) <= count; i += lanes()) store(load(from + i), out + i);
  if (i < count) store_first(load_first(from + i, count - i), out + i, count - i);
}

// Block by block, each with its scale.
void expand_f8_row(const FloatLinearWork& work, int64_t row, int64_t first, int64_t count, float* out) {
  constexpr int64_t kBlock = FloatLinearWork::kScaleBlock;
  const uint8_t* values = work.weight_row(row) + first;
  const float* scales = work.scale_row(row) + first / kBlock;
  for (int64_t i = 0; i < count; i += kBlock)
    expand_f8(values + i, std::min(kBlock, count - i), scales[i / kBlock], out + i);
}

}  // namespace

void ExpandWeightRow(const FloatLinearWork& work, int64_t row, int64_t first, int64_t count, float* out) {
  if (work.dtype == DType::kF8E4M3) return expand_f8_row(work, row, first, count, out);
  const uint8_t* values = work.weight_row(row);
  if (work.dtype == DType::kF32)
    return convert_row(reinterpret_cast<const float*>(values) + first, count, out);
  if (work.dtype == DType::kF16)
    return convert_row(reinterpret_cast<const hwy::float16_t*>(values) + first, count, out);
  if (work.dtype == DType::kBF16)
    return convert_row(reinterpret_cast<const hwy::bfloat16_t*>(values) + first, count, out);
  const DTypeInfo& info = dtype_info(work.dtype);
  const ExpandBlock expand = expand_block_of(work.dtype);
  const uint8_t* block = values + first / info.block_elements * info.block_bytes;
  for (int64_t i = 0; i < count; i += info.block_elements, block += info.block_bytes) expand(block, out + i);
}

namespace {

void add_bias(const FloatLinearWork& work, const FloatTask& task) {
  for (int64_t i = 0; i < task.columns; ++i) {
    float bias;
    work.bias.load(task.first_column + i, 1, &bias);
    for (int64_t row = 0; row < task.rows; ++row)
      work.y.row(task.first_row + row)[task.first_column + i] += bias;
  }
}

}  // namespace

void LinearTask(const FloatLinearWork& work, const FloatTask& task) {
  HWY_ALIGN float scratch[kScratchFloats];
  const int64_t k = work.x.width;
  for (int64_t first = 0; first < k || first == 0; first += kChunkValues) {
    FloatTile tile = {.x = work.x.row(task.first_row) + first,
                      .x_stride = work.x.outer_stride,
                      .weight = nullptr,
                      .weight_stride = work.x.width,
                      .k = std::min(kChunkValues, k - first),
                      .y = work.y.row(task.first_row) + task.first_column,
                      .y_stride = work.y.outer_stride,
                      .is_first = first == 0};
    const int64_t first_row = work.first_weight_row + task.first_column;
    if (work.dtype == DType::kF32) {
      tile.weight = reinterpret_cast<const float*>(work.weight_row(first_row)) + first;
    } else {
      for (int64_t i = 0; i < task.columns; ++i)
        ExpandWeightRow(work, first_row + i, first, tile.k, scratch + i * tile.k);
      tile.weight = scratch;
      tile.weight_stride = tile.k;
    }
    dot_rows(tile, task.rows, task.columns);
  }
  if (work.bias.data != nullptr) add_bias(work, task);
}

int64_t LinearTileColumns() {
  return kTileColumns;
}

}  // namespace HWY_NAMESPACE
}  // namespace musaic
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace musaic {
namespace {

HWY_EXPORT(LinearTask);
HWY_EXPORT(ExpandWeightRow);
HWY_EXPORT(LinearTileColumns);

int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

// Columns and rows of a task: weights of one task fit the scratch, and there is work for all.
FloatTask cut_tasks(int64_t rows, int64_t columns, int64_t k, int64_t workers) {
  constexpr int64_t kRowStep = 12;  // whole tiles of 4 and of 3 rows
  const int64_t wanted = kTasksPerWorkerFloat * workers;
  FloatTask task = {0, rows, 0, float_task_columns(columns, k, wanted)};
  const int64_t column_tasks = ceil_div(columns, task.columns);
  if (column_tasks < wanted)
    task.rows = ceil_div(ceil_div(rows, ceil_div(wanted, column_tasks)), kRowStep) * kRowStep;
  return task;
}

void run_linear(const KernelCall& call) {
  const Tensor& weight = call.inputs[1];
  const FloatLinearWork work = {.x = FloatRows::of(call.inputs[0]),
                                .y = FloatRows::of(call.outputs[0]),
                                .weight = weight.as<const uint8_t>(),
                                .dtype = weight.dtype,
                                .weight_row_bytes = byte_size(weight.dtype, weight.shape[1]),
                                .bias = BiasRow::of(call.inputs, 2),
                                .live_rows = call.live_rows};
  cpu_stream(call.stream).launch([work](const Worker& worker) { run_float_linear(work, worker); });
}

}  // namespace

void expand_weight_row(const FloatLinearWork& work, int64_t row, int64_t first, int64_t count, float* out) {
  HWY_DYNAMIC_DISPATCH(ExpandWeightRow)(work, row, first, count, out);
}

void run_float_task(const FloatLinearWork& work, const FloatTask& task) {
  HWY_DYNAMIC_DISPATCH(LinearTask)(work, task);
}

int64_t float_task_columns(int64_t columns, int64_t k, int64_t wanted) {
  const int64_t step = HWY_DYNAMIC_DISPATCH(LinearTileColumns)();
  const int64_t fitting = kScratchFloats / std::clamp<int64_t>(k, 1, kChunkValues) / step * step;
  return std::clamp(ceil_div(ceil_div(columns, wanted), step) * step, step, fitting);
}

void run_float_linear(const FloatLinearWork& work, const Worker& worker) {
  const int64_t rows = live_count(work.live_rows, work.x.outer);
  const int64_t columns = work.y.width;
  if (rows <= 0 || columns == 0) return;
  const FloatTask cut = cut_tasks(rows, columns, work.x.width, worker.count);
  const int64_t column_tasks = ceil_div(columns, cut.columns);
  const int64_t num_tasks = column_tasks * ceil_div(rows, cut.rows);
  for (int64_t index; (index = worker.next_chunk()) < num_tasks;) {
    FloatTask task = {index / column_tasks * cut.rows, 0, index % column_tasks * cut.columns, 0};
    task.rows = std::min(cut.rows, rows - task.first_row);
    task.columns = std::min(cut.columns, columns - task.first_column);
    run_float_task(work, task);
  }
}

void add_linear_float_cpu(OpRegistry& registry) {
  registry.add_kernel("aten::linear", {.name = "linear_cpu", .device_type = "cpu", .run = run_linear});
}

}  // namespace musaic
#endif
