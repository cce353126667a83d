#pragma once

#include "ops/linear_fp8/fp8_row_consumer_sm90.cuh"

namespace musaic {

// A warpgroup that multiplies 64 rows with both column tiles of a block, one after the other. It scales and
// adds a product while the other warpgroup's is made: there are no registers for two products.
template <class Shape, int kProducts>
class Fp8WideConsumer : public Fp8RowConsumer<Fp8WideConsumer<Shape, kProducts>, Shape, kProducts> {
  using Base = Fp8RowConsumer<Fp8WideConsumer, Shape, kProducts>;
  friend Base;

 public:
  using Base::Base;

 private:
  using Base::first_row_;
  using Base::memory_;
  using Base::multiply;
  using Base::read_;
  using Base::release;
  static constexpr int kSums = Shape::kColumns / 2;

  __device__ void make_tile(const Fp8Tiles& call, const Fp8Tile& tile) {
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

  __device__ void add_group(float (&first)[kSums], float (&second)[kSums]) {
    memory_.full[read_.stage].wait(read_.parity);
    if constexpr (!Shape::kRowTileCopies) publish_to_matrix_units();
    const float* scales = memory_.scales[read_.stage];
    const float* blocks = scales + Shape::kRows;
    const int row = first_row_ + first_row_of_thread();
    const float upper = scales[row], lower = scales[row + 8], first_block = blocks[0],
                second_block = blocks[1];
    float product[kSums];
    multiply(memory_.stages[read_.stage].weight[0], product);
    add_scaled(product, upper * first_block, lower * first_block, first);
    multiply(memory_.stages[read_.stage].weight[1], product);
    release();
    add_scaled(product, upper * second_block, lower * second_block, second);
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
};

}  // namespace musaic
