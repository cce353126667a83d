#pragma once

#include "ops/linear/tiles_sm90.cuh"
#include "ops/linear_fp8/fp8_tile_work_sm90.cuh"
#include "ops/per_token_group_quant/f8_gpu.cuh"

// What tiles of gate and up do with their sums.
namespace musaic {

// A thread's values of a row of gate or of up, 32 of the group's 128: four neighbouring lanes have the row.
inline constexpr int kSwigluValues = 32;

// Of the two warpgroups that multiply: a warp's eight rows in FP8.
struct SwigluRows {
  static constexpr int kRowBytes = 128 + 16;  // 16: rows begin in banks of their own
  static constexpr int kWarpRows = 8;

  uint8_t rows[2 * kWarpgroupSize / kWarpSize][kWarpRows][kRowBytes];
};

// Where the warpgroups of a SwiGLU exchange half of their sums.
struct SwigluExchange {
  float values[2][kSwigluValues][kWarpgroupSize];
  SwigluRows rows;
};

// The values of a thread's upper row (kHalf 0) or lower row (kHalf 1) among its sums.
template <int kHalf>
__device__ void take_row(const float (&sum)[64], float (&values)[kSwigluValues]) {
#pragma unroll
  for (int i = 0; i < kSwigluValues; ++i) values[i] = sum[i / 2 * 4 + kHalf * 2 + i % 2];
}

// Quantizes silu(gate) · up of a group of 128 columns, eight rows a warp.
class SwigluQuantizer {
 public:
  // `warp` is the calling one among those that multiply.
  __device__ SwigluQuantizer(SwigluRows& rows, int warp)
      : rows_(rows.rows[warp]), lane_(static_cast<int>(threadIdx.x) % kWarpSize) {}

  // `first_row` is the warp's, in the tile; `product` is up, and becomes the product.
  __device__ void write(const Fp8Tiles& call, const Fp8Tile& tile, int column, int first_row,
                        const float (&gate)[kSwigluValues], float (&product)[kSwigluValues]) {
    quantize(call, tile, column, first_row + lane_ / 4, gate, product);
    store(call, tile, column, first_row);
  }

 private:
  __device__ void quantize(const Fp8Tiles& call, const Fp8Tile& tile, int column, int row,
                           const float (&gate)[kSwigluValues], float (&product)[kSwigluValues]) {
    constexpr float kLeast = 1e-10f, kLargest = 448.0f;
    const bool is_there = row < tile.rows;
    float largest = 0.0f;
    if (is_there) {
#pragma unroll
      for (int i = 0; i < kSwigluValues; ++i) {
        product[i] *= __fdividef(gate[i], 1.0f + __expf(-gate[i]));
        largest = fmaxf(largest, fabsf(product[i]));
      }
    }
    largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, 1));
    largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, 2));
    if (!is_there) return;
    const float scale = __fdiv_rn(fmaxf(largest, kLeast), kLargest), inverse = __frcp_rn(scale);
    if (lane_ % 4 == 0)
      call.swiglu_scale[(int64_t{tile.first_row} + row) * (call.part_columns / 128) + column / 128] = scale;
    uint8_t* to = rows_[lane_ / 4] + 2 * (lane_ % 4);
#pragma unroll
    for (int i = 0; i < kSwigluValues; i += 2)
      *reinterpret_cast<uint16_t*>(to + i * 4) =
          f8e4m3_pair(quotient(product[i], scale, inverse), quotient(product[i + 1], scale, inverse));
  }

  __device__ void store(const Fp8Tiles& call, const Fp8Tile& tile, int column, int first_row) const {
    constexpr int kPieces = 128 / 16, kRows = SwigluRows::kWarpRows;
    __syncwarp();
#pragma unroll
    for (int i = 0; i < kRows * kPieces / kWarpSize; ++i) {
      const int index = lane_ + i * kWarpSize, piece = index % kPieces, row = index / kPieces;
      const int tile_row = first_row + row;
      if (tile_row >= tile.rows) continue;
      uint8_t* to =
          call.swiglu_q + (int64_t{tile.first_row} + tile_row) * call.part_columns + column + piece * 16;
      *reinterpret_cast<uint4*>(to) = *reinterpret_cast<const uint4*>(rows_[row] + piece * 16);
    }
    __syncwarp();
  }

  uint8_t (&rows_)[SwigluRows::kWarpRows][SwigluRows::kRowBytes];
  const int lane_;
};

// A SwiGLU of two warpgroups' sums: each has the rows of a part, exchanges half of them for the same of the
// other part, and quantizes the products of a group of 128 columns.
//
// Its code is short: the blocks of a decode step run it once, and wait for each line of it.
class SwigluWriter {
 public:
  __device__ SwigluWriter(SwigluExchange& exchange, int part)
      : exchange_(exchange), part_(part), thread_(static_cast<int>(threadIdx.x) % kWarpgroupSize) {}

  // The gate's warpgroup finishes the upper rows of its threads, the other one the lower ones.
  __device__ void write(const Fp8Tiles& call, const Fp8Tile& tile, int column, const float (&sum)[64]) {
    float gate[kSwigluValues], up[kSwigluValues];
    meet<2 * kWarpgroupSize>(kReadBarrier);  // the other one has read what it got before
    if (part_ == 0) {
      take_row<0>(sum, gate);
      send<1>(sum);
    } else {
      take_row<1>(sum, up);
      send<0>(sum);
    }
    meet<2 * kWarpgroupSize>(kWrittenBarrier);
    if (part_ == 0) {
      receive(up);
    } else {
      receive(gate);
    }
    const int warp = thread_ / kWarpSize;
    SwigluQuantizer(exchange_.rows, part_ * 4 + warp)
        .write(call, tile, column, warp * 16 + part_ * 8, gate, up);
  }

 private:
  static constexpr int kReadBarrier = 1, kWrittenBarrier = 2;  // 0 is __syncthreads

  template <int kHalf>
  __device__ void send(const float (&sum)[64]) {
    float values[kSwigluValues];
    take_row<kHalf>(sum, values);
#pragma unroll
    for (int i = 0; i < kSwigluValues; ++i) exchange_.values[part_][i][thread_] = values[i];
  }
  __device__ void receive(float (&values)[kSwigluValues]) const {
#pragma unroll
    for (int i = 0; i < kSwigluValues; ++i) values[i] = exchange_.values[1 - part_][i][thread_];
  }

  SwigluExchange& exchange_;
  const int part_;
  const int thread_;
};

}  // namespace musaic
