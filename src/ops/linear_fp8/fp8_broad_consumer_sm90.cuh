#pragma once

#include "ops/linear_fp8/fp8_row_consumer_sm90.cuh"

namespace musaic {

// A warpgroup that multiplies 64 rows with all column tiles of a block by one product. It scales and adds it
// while the other warpgroup's is made. REQUIRES: products of one part, whose columns follow one another.
template <class Shape, int kProducts>
class Fp8BroadConsumer : public Fp8RowConsumer<Fp8BroadConsumer<Shape, kProducts>, Shape, kProducts> {
  using Base = Fp8RowConsumer<Fp8BroadConsumer, Shape, kProducts>;
  friend Base;

 public:
  using Base::Base;

 private:
  using Base::first_row_;
  using Base::memory_;
  using Base::multiply;
  using Base::read_;
  using Base::release;
  static constexpr int kTiles = Shape::kColumnTiles;
  static constexpr int kSums = Shape::kColumns / 2;

  __device__ void make_tile(const Fp8Tiles& call, const Fp8Tile& tile) {
    find_scales(call, tile);
    float sum[kTiles][kSums] = {};
#pragma unroll 1
    for (int group = 0; group < call.groups; ++group) add_group(group, sum);
    write(call, tile, reinterpret_cast<const float(&)[kTiles * kSums]>(sum));
  }

  // Of rows that are not there those of the last one.
  __device__ void find_scales(const Fp8Tiles& call, const Fp8Tile& tile) {
    const int last = tile.rows - 1, row = first_row_ + first_row_of_thread();
    const int upper = row < last ? row : last, lower = row + 8 < last ? row + 8 : last;
    row_scales_ = call.scale + (int64_t{tile.first_row} + upper) * call.groups;
    lower_scales_ = (lower - upper) * call.groups;
    const int scale_rows = call.parts * ((call.part_columns + 127) / 128);  // of one expert
#pragma unroll
    for (int c = 0; c < kTiles; ++c) {
      const int scale_row = Fp8Columns<Shape>::of(call, tile.first_column + c).scale_row;
      block_scales_[c] = call.weight_scale + (int64_t{tile.expert} * scale_rows + scale_row) * call.groups;
    }
  }

  // Scales are asked for before the product, and are there when it is.
  __device__ void add_group(int group, float (&sum)[kTiles][kSums]) {
    const float upper = row_scales_[group], lower = row_scales_[lower_scales_ + group];
    float block[kTiles];
#pragma unroll
    for (int c = 0; c < kTiles; ++c) block[c] = block_scales_[c][group];
    float product[kTiles][kSums];
    memory_.full[read_.stage].wait(read_.parity);
    multiply(memory_.stages[read_.stage].weight, reinterpret_cast<float(&)[kTiles * kSums]>(product));
    release();
#pragma unroll
    for (int c = 0; c < kTiles; ++c) add_scaled(product[c], upper * block[c], lower * block[c], sum[c]);
  }

  __device__ void write(const Fp8Tiles& call, const Fp8Tile& tile, const float (&sum)[kTiles * kSums]) const {
    Fp8Columns<Shape> columns = Fp8Columns<Shape>::of(call, tile.first_column);
    const int left = call.part_columns - columns.first;
    columns.count = left < kTiles * Shape::kColumns ? left : kTiles * Shape::kColumns;
    write_sums<kProducts != 1>(call, tile, columns, first_row_, sum);
  }

  const float* row_scales_ = nullptr;
  const float* block_scales_[kTiles];
  int lower_scales_ = 0;  // from the upper row's to the lower one's
};

}  // namespace musaic
