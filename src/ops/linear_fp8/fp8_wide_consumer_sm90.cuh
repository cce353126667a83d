#pragma once

#include "ops/linear_fp8/fp8_tile_walk_sm90.cuh"

namespace musaic {

// A warpgroup that multiplies 64 rows with both column tiles of a block, one after the other. It scales and
// adds a product while the other warpgroup's is made: there are no registers for two products.
template <class Shape, int kProducts>
class Fp8WideConsumer {
 public:
  static constexpr int kArrivals = kWarpgroupSize / kWarpSize * Shape::kConsumers;

  // `index` is the warpgroup's among those that multiply.
  __device__ Fp8WideConsumer(const Fp8Work<kProducts>& work, Fp8TileMemory<Shape>& memory, int index)
      : work_(work), memory_(memory), first_row_(index * kWarpgroupRows) {}

  __device__ void run() {
    Fp8TileWalk<Shape, kProducts> walk(work_, memory_);
    for (Fp8Tile tile; walk.next(tile);) {
      const Fp8Tiles& call = work_.product[kProducts == 1 ? 0 : tile.product];
      if (first_row_ >= tile.rows) {
#pragma unroll 1
        for (int group = 0; group < call.groups; ++group) skip_group();
        continue;
      }
      float first[kSums] = {}, second[kSums] = {};
#pragma unroll 1
      for (int group = 0; group < call.groups; ++group) add_group(first, second);
      if constexpr (Shape::kSwiglu) {
        write_swiglu(call, tile, first, second);
      } else {
        write(call, tile, 0, first);
        write(call, tile, 1, second);
      }
    }
  }

 private:
  static constexpr int kSums = Shape::kColumns / 2;

  __device__ void add_group(float (&first)[kSums], float (&second)[kSums]) {
    memory_.full[read_.stage].wait(read_.parity);
    if constexpr (!Shape::kRowTileCopies) publish_to_matrix_units();
    const float* scales = memory_.scales[read_.stage];
    const float* blocks = scales + Shape::kRows;
    const int row = first_row_ + first_row_of_thread();
    const float upper = scales[row], lower = scales[row + 8], first_block = blocks[0],
                second_block = blocks[1];
    float product[kSums];
    multiply(0, product);
    add_scaled(product, upper * first_block, lower * first_block, first);
    multiply(1, product);
    release();
    add_scaled(product, upper * second_block, lower * second_block, second);
  }

  __device__ void multiply(int column_tile, float (&product)[kSums]) {
    const Fp8Stage<Shape>& stage = memory_.stages[read_.stage];
    const uint64_t left = swizzled_rows(shared_address(&stage.q[first_row_]));
    const uint64_t right = swizzled_rows(shared_address(&stage.weight[column_tile]));
    keep_in_place(product);
    start_fp8_group<Shape::kColumns>(left, right, product);
    wait_for_products<0>(product);
  }

  __device__ void skip_group() {
    memory_.full[read_.stage].wait(read_.parity);
    release();
  }
  __device__ void release() {
    __syncwarp();
    if (threadIdx.x % kWarpSize == 0) memory_.empty[read_.stage].arrive();
    read_.advance();
  }

  __device__ void write_swiglu(const Fp8Tiles& call, const Fp8Tile& tile, const float (&gates)[kSums],
                               const float (&ups)[kSums]) {
    const int column = tile.first_column / 2 * Shape::kColumns;
    const int warp = static_cast<int>(threadIdx.x) % kWarpgroupSize / kWarpSize, row = first_row_ + warp * 16;
    SwigluQuantizer quantizer(memory_.exchange, row / 16);
    float gate[kSwigluValues], up[kSwigluValues];
    take_row<0>(gates, gate);
    take_row<0>(ups, up);
    quantizer.write(call, tile, column, row, gate, up);
    take_row<1>(gates, gate);
    take_row<1>(ups, up);
    quantizer.write(call, tile, column, row + 8, gate, up);
  }

  __device__ void write(const Fp8Tiles& call, const Fp8Tile& tile, int column_tile,
                        const float (&sum)[kSums]) const {
    const auto columns = Fp8Columns<Shape>::of(call, tile.first_column + column_tile);
    if (columns.count > 0) write_sums<kProducts != 1>(call, tile, columns, first_row_, sum);
  }

  const Fp8Work<kProducts>& work_;
  Fp8TileMemory<Shape>& memory_;
  const int first_row_;  // in the tile
  RingPlace<Shape::kStages> read_;
};

}  // namespace musaic
