#pragma once

#include "ops/linear/bf16_wide_shape_sm90.cuh"

namespace musaic {

// A warpgroup that multiplies its 64 rows with all columns of the tile. It has the sum of the even steps and
// that of the odd ones, as the two warpgroups of Bf16Consumer, so that both give the same bits; the products
// of a step are under way while it waits for the next one's factors.
template <class Shape>
class Bf16WideConsumer {
 public:
  // At a stage's barrier: of the warps that read it, in both blocks.
  static constexpr int kArrivals = kWarpgroupSize / kWarpSize * Shape::kWarpgroups * Shape::kBlocks;

  // `index` is the warpgroup's among those that multiply; null `factors`: all are 1.
  __device__ Bf16WideConsumer(const LinearTileCall& call, int rows, const float* factors,
                              Bf16WideMemory<Shape>& memory, int index)
      : call_(call), rows_(rows), factors_(factors), memory_(memory), first_row_(index * kWarpgroupRows) {}

  __device__ void run() {
    const int num_steps = num_steps_of(call_);
    Bf16TileWalk<Shape> walk(call_);
    for (; walk.is_there(); walk.advance(rows_)) {
      // A block may end when its own steps are there: nobody tells it of stages that stay unused.
      const int released = walk.is_last(rows_) ? num_steps - Shape::kStages : num_steps;
      if (walk.row() + first_row_ >= rows_) {
        skip(num_steps, released);
        continue;
      }
      Sums even, odd;
      clear(even);
      clear(odd);
#pragma unroll 1
      for (int step = 0; step < num_steps; step += 2) {
        start(even);
        wait_for_products<1>(odd);
        if (step > 0 && step - 1 < released) release_next();
        if (step + 1 >= num_steps) break;
        start(odd);
        wait_for_products<1>(even);
        if (step < released) release_next();
      }
      wait_for_products<0>(even);
      keep_in_place(odd);
      if (num_steps - 1 < released) release_next();
#pragma unroll
      for (int i = 0; i < Shape::kSums; ++i) even[i] += odd[i];
      write(walk, even);
    }
  }

 private:
  using Sums = float[Shape::kSums];

  static __device__ void clear(Sums& sums) {
#pragma unroll
    for (int i = 0; i < Shape::kSums; ++i) sums[i] = 0.0f;
    keep_in_place(sums);
  }

  // Pads are not multiplied.
  __device__ void skip(int num_steps, int released) {
#pragma unroll 1
    for (int step = 0; step < num_steps; ++step) {
      memory_.full[read_.stage].wait(read_.parity);
      __syncwarp();
      if (step < released) release_next();
      read_.advance();
    }
  }

  __device__ void start(Sums& sums) {
    memory_.full[read_.stage].wait(read_.parity);
    const Bf16WideStage<Shape>& stage = memory_.stages[read_.stage];
    const uint64_t left = swizzled_rows(shared_address(&stage.x[first_row_]));
    const uint64_t right = swizzled_rows(shared_address(&stage.weight));
    begin_products();
#pragma unroll
    for (int i = 0; i < kStepValues / 16; ++i)
      Bf16SharedProduct<Shape::kColumns>::add(sums, left + 2 * i, right + 2 * i);
    end_products();
    read_.advance();
  }

  __device__ void release_next() {
    const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
    if (lane < Shape::kBlocks) memory_.empty[released_.stage].arrive_at(static_cast<uint32_t>(lane));
    released_.advance();
  }

  // Of a lane's two rows, the second eight behind the first.
  __device__ void write(const Bf16TileWalk<Shape>& walk, const Sums& sums) const {
    const int first_row = walk.row() + first_row_ + first_row_of_thread();
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const int row = first_row + 8 * r;
      const bool is_there = row < rows_;
      const float factor = factors_ != nullptr && is_there ? factors_[row] : 1.0f;
      float* y = static_cast<float*>(call_.linear.y.data) + row * call_.linear.y.outer_stride + walk.column();
      if (call_.swiglu)
        write_swiglu(sums, r, factor, is_there, walk.column(), y);
      else
        write_row(sums, r, factor, is_there, walk.column(), y);
    }
  }
  __device__ void write_swiglu(const Sums& sums, int r, float factor, bool is_row_there, int first_column,
                               float* y) const {
#pragma unroll
    for (int i = 0; i < Shape::kSums / 2; i += 8) {
      const int column = column_of(i);
      const bool is_there = first_column + column < call_.linear.y.width;
      const int64_t weight_row = is_there ? first_column + column : 0;
      const float4 gate = finish_sums(call_, four_sums(sums, i, r), factor, weight_row);
      const float4 up = finish_sums(call_, four_sums(sums, Shape::kSums / 2 + i, r), factor,
                                    call_.linear.y.width + weight_row);
      if (is_row_there && is_there) *reinterpret_cast<float4*>(y + column) = swiglu_of(gate, up);
    }
  }
  __device__ void write_row(const Sums& sums, int r, float factor, bool is_row_there, int first_column,
                            float* y) const {
#pragma unroll
    for (int i = 0; i < Shape::kSums; i += 8) {
      const int column = column_of(i);
      const bool is_there = first_column + column < call_.linear.y.width;
      float4 value = finish_sums(call_, four_sums(sums, i, r), factor, is_there ? first_column + column : 0);
      if (!is_row_there || !is_there) continue;
      auto* to = reinterpret_cast<float4*>(y + column);
      if (call_.adds_to_y) value = sum_of(*to, value);
      *to = value;
    }
  }

  // Of the four columns that the thread writes of sixteen, whose sums begin at `i`.
  static __device__ int column_of(int i) {
    const int lane = static_cast<int>(threadIdx.x) % 4;
    return 2 * i + lane / 2 * 4 + lane % 2 * 8;
  }
  static __device__ float4 four_sums(const Sums& sums, int i, int r) {
    return four_columns(sums[i + 2 * r], sums[i + 2 * r + 1], sums[i + 4 + 2 * r], sums[i + 5 + 2 * r],
                        threadIdx.x % 2 != 0);
  }

  const LinearTileCall& call_;
  const int rows_;  // live ones
  const float* factors_;
  Bf16WideMemory<Shape>& memory_;
  const int first_row_;  // in the tile
  RingPlace<Shape::kStages> read_;
  RingPlace<Shape::kStages> released_;
};

}  // namespace musaic
