#pragma once

#include "gpu_copy.cuh"
#include "ops/linear_fp8/fp8_tile.cuh"

// Tiles of 128 columns for many rows. Half groups of k pass through shared memory; a warp sums 64 columns ×
// 32 rows.
namespace musaic {

inline constexpr int kManyColumns = 128;
inline constexpr int kSlots = 3;  // half groups in shared memory
inline constexpr int kWarpColumns = 64;
inline constexpr int kWarpRows = 32;

template <int kRowWarps_>
struct ManyRowsShape {
  static constexpr int kRowWarps = kRowWarps_;
  static constexpr int kColumnWarps = kManyColumns / kWarpColumns;
  static constexpr int kRows = kRowWarps * kWarpRows;
  static constexpr int kThreads = kRowWarps * kColumnWarps * kWarpSize;
};

template <class Shape>
struct ManyRowsMemory {
  alignas(16) uint8_t weight[kSlots][kManyColumns][kHalfGroup];
  alignas(16) uint8_t x[kSlots][Shape::kRows][kHalfGroup];
};

template <class Shape>
class ManyRows {
 public:
  __device__ ManyRows(const Fp8Operands& operands, const Fp8Tile& tile, ManyRowsMemory<Shape>& memory)
      : operands_(operands),
        tile_(tile),
        memory_(memory),
        lane_(static_cast<int>(threadIdx.x) % kWarpSize),
        first_column_(static_cast<int>(threadIdx.x) / kWarpSize % Shape::kColumnWarps * kWarpColumns),
        first_row_(static_cast<int>(threadIdx.x) / kWarpSize / Shape::kColumnWarps * kWarpRows),
        groups_(static_cast<int>(operands.groups())) {}

  // The weights of the first half groups, of which no row need be known.
  __device__ void start_weights() const {
    for (int half = 0; half < kSlots - 1; ++half) start_weight(half);
  }
  // The tile has its rows now.
  __device__ void run() {
    find_rows();
    for (int half = 0; half < kSlots - 1; ++half) {
      start_x(half);
      end_batch();
    }
    clear_all(totals_);
    const bool is_live = first_row_ < tile_.rows;
    for (int group = 0; group < groups_; ++group) {
      const float scale = is_live ? my_scale(group) : 0.0f;
      clear_all(sums_);
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const int half = 2 * group + i;
        wait_for_batches<kSlots - 2>();
        __syncthreads();
        if (half + kSlots - 1 < 2 * groups_) {
          start_weight(half + kSlots - 1);
          start_x(half + kSlots - 1);
        }
        end_batch();
        if (is_live) add_half(half % kSlots);
      }
      if (is_live) add_group(scale);
    }
    if (is_live) write();
  }

 private:
  static constexpr int kPiecesOfRow = kHalfGroup / kPiece;
  static constexpr int kXPieces = Shape::kRows * kPiecesOfRow / Shape::kThreads;  // of a thread
  static constexpr int kWeightPieces = kManyColumns * kPiecesOfRow / Shape::kThreads;
  static constexpr int kColumnSquares = kWarpColumns / 16;
  static constexpr int kRowSquares = kWarpRows / 8;
  using Sums = float[kColumnSquares][kRowSquares][4];

  static __device__ void clear_all(Sums& sums) {
#pragma unroll
    for (int c = 0; c < kColumnSquares; ++c) {
#pragma unroll
      for (int r = 0; r < kRowSquares; ++r) {
#pragma unroll
        for (int i = 0; i < 4; ++i) sums[c][r][i] = 0.0f;
      }
    }
  }

  __device__ void find_rows() {
#pragma unroll
    for (int i = 0; i < kXPieces; ++i) {
      const int row = static_cast<int>(threadIdx.x + i * Shape::kThreads) / kPiecesOfRow;
      x_rows_[i] =
          row < tile_.rows ? operands_.q + operands_.x_row(tile_.first_row + row) * operands_.k : nullptr;
    }
    const int row = first_row_ + lane_;
    scales_ = operands_.scale +
              (row < tile_.rows ? operands_.x_row(tile_.first_row + row) : x_row_of_first()) * groups_;
  }
  __device__ int64_t x_row_of_first() const {
    return operands_.x_row(tile_.first_row);
  }

  __device__ void start_weight(int half) const {
#pragma unroll
    for (int i = 0; i < kWeightPieces; ++i) {
      const int piece = static_cast<int>(threadIdx.x) + i * Shape::kThreads;
      const int column = piece / kPiecesOfRow, byte = piece % kPiecesOfRow * kPiece;
      const int64_t k = static_cast<int64_t>(half) * kHalfGroup + byte;
      const bool is_there = column < tile_.columns && k < operands_.k;
      start_copy(&memory_.weight[half % kSlots][column][byte],
                 is_there ? tile_.weight + column * operands_.k + k : tile_.weight, is_there);
    }
  }
  __device__ void start_x(int half) const {
#pragma unroll
    for (int i = 0; i < kXPieces; ++i) {
      const int piece = static_cast<int>(threadIdx.x) + i * Shape::kThreads;
      const int row = piece / kPiecesOfRow, byte = piece % kPiecesOfRow * kPiece;
      const int64_t k = static_cast<int64_t>(half) * kHalfGroup + byte;
      const bool is_there = x_rows_[i] != nullptr && k < operands_.k;
      start_copy(&memory_.x[half % kSlots][row][byte], is_there ? x_rows_[i] + k : operands_.q, is_there);
    }
  }

  // That of the lane's row of the warp, times the weight's.
  __device__ float my_scale(int group) const {
    return scales_[group] * tile_.weight_scale[group];
  }

  __device__ void add_half(int slot) {
    const int row = lane_ / kLanesOfRow, byte = lane_ % kLanesOfRow * kPiece;
    uint4 x[kRowSquares], weight[kColumnSquares][2];
#pragma unroll
    for (int r = 0; r < kRowSquares; ++r)
      x[r] = *reinterpret_cast<const uint4*>(&memory_.x[slot][first_row_ + r * 8 + row][byte]);
#pragma unroll
    for (int c = 0; c < kColumnSquares; ++c) {
#pragma unroll
      for (int high = 0; high < 2; ++high)
        weight[c][high] = *reinterpret_cast<const uint4*>(
            &memory_.weight[slot][first_column_ + c * 16 + high * 8 + row][byte]);
    }
#pragma unroll
    for (int step = 0; step < kSteps; ++step) {
      uint32_t right[kRowSquares][2];
#pragma unroll
      for (int r = 0; r < kRowSquares; ++r) expand_right(x[r], step, right[r]);
#pragma unroll
      for (int c = 0; c < kColumnSquares; ++c) {
        uint32_t left[4];
        expand_left(weight[c][0], weight[c][1], step, left);
#pragma unroll
        for (int r = 0; r < kRowSquares; ++r) F16Product::add_unordered(sums_[c][r], left, right[r]);
      }
    }
  }

  __device__ void add_group(float scale) {
#pragma unroll
    for (int r = 0; r < kRowSquares; ++r) {
      const int row = r * 8 + lane_ % 4 * 2;
      const float even = __shfl_sync(0xffffffffu, scale, row), odd = __shfl_sync(0xffffffffu, scale, row + 1);
#pragma unroll
      for (int c = 0; c < kColumnSquares; ++c) {
        F16Product::order(sums_[c][r]);
#pragma unroll
        for (int i = 0; i < 4; ++i)
          totals_[c][r][i] = fmaf(sums_[c][r][i], i % 2 == 0 ? even : odd, totals_[c][r][i]);
      }
    }
  }

  __device__ void write() const {
#pragma unroll
    for (int r = 0; r < kRowSquares; ++r) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int row = first_row_ + r * 8 + lane_ % 4 * 2 + i % 2;
        if (row >= tile_.rows) continue;
#pragma unroll
        for (int c = 0; c < kColumnSquares; ++c) {
          const int column = first_column_ + c * 16 + i / 2 * 8 + lane_ / 4;
          if (column < tile_.columns)
            write_fp8(operands_, tile_.first_row + row, tile_.first_column + column, totals_[c][r][i]);
        }
      }
    }
  }

  const Fp8Operands& operands_;
  const Fp8Tile& tile_;
  ManyRowsMemory<Shape>& memory_;
  const int lane_;
  const int first_column_;  // of the warp, in the tile
  const int first_row_;
  const int groups_;
  const uint8_t* x_rows_[kXPieces];
  const float* scales_;
  Sums sums_;    // of a group
  Sums totals_;  // of all groups before
};

}  // namespace musaic
