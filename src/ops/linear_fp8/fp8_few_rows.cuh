#pragma once

#include "gpu_copy.cuh"
#include "ops/linear_fp8/fp8_tile.cuh"

// Tiles of 16 columns for few rows: the warps of a block share the groups of k, two a warp and step, and the
// weights of the next step are on their way while one is summed. Each group's sums meet in shared memory.
namespace musaic {

inline constexpr int kFewColumns = 16;
inline constexpr int kFewWarps = 8;  // at most
inline constexpr int kWarpGroups = 2;
inline constexpr int kStepGroups = kFewWarps * kWarpGroups;
inline constexpr int kSquareRows = 8;
inline constexpr int kPaddedColumns = kFewColumns + 4;  // 4: a warp's sums go to banks of their own

// kSquares: times 8 rows at once.
template <int kSquares>
struct FewRowsMemory {
  static constexpr int kRows = kSquares * kSquareRows;
  float sums[2][kStepGroups][kRows][kPaddedColumns];
  float scales[2][kStepGroups][kRows];
};

// A warp's weights of a step: of rows g and g + 8 of each half group.
struct FewWeights {
  uint4 pieces[kWarpGroups][2][2];
};

template <int kSquares>
class FewRows {
 public:
  static constexpr int kRows = kSquares * kSquareRows;

  __device__ FewRows(const Fp8Operands& operands, FewRowsMemory<kSquares>& memory)
      : operands_(operands),
        memory_(memory),
        lane_(static_cast<int>(threadIdx.x) % kWarpSize),
        warp_(static_cast<int>(threadIdx.x) / kWarpSize),
        warps_(static_cast<int>(blockDim.x) / kWarpSize),
        groups_(static_cast<int>(operands.groups())) {}

  __device__ void load(const Fp8Tile& tile, int step, FewWeights& to) const {
    const uint8_t* weight = tile.weight + lane_ / kLanesOfRow * operands_.k;
    const int column = lane_ / kLanesOfRow;
#pragma unroll
    for (int i = 0; i < kWarpGroups; ++i) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int64_t k = piece_start(step, i, half);
#pragma unroll
        for (int high = 0; high < 2; ++high) {
          const bool is_there = k < operands_.k && column + high * 8 < tile.columns;
          to.pieces[i][half][high] =
              is_there ? load_once(weight + high * 8 * operands_.k + k) : make_uint4(0, 0, 0, 0);
        }
      }
    }
  }

  // All rows of the tile. `weights` has its first step, and then that of `next` if there is one.
  __device__ void run(const Fp8Tile& tile, bool has_next, const Fp8Tile& next, FewWeights& weights) {
    const int steps = (groups_ + step_groups() - 1) / step_groups();
    for (int first_row = 0; first_row < tile.rows; first_row += kRows) {
      const bool is_last_pass = first_row + kRows >= tile.rows;
      float totals[kOwned] = {};
      for (int step = 0; step < steps; ++step) {
        FewWeights following = weights;
        if (step + 1 < steps || (steps > 1 && !is_last_pass)) {
          load(tile, step + 1 < steps ? step + 1 : 0, following);
        } else if (is_last_pass && has_next) {
          load(next, 0, following);
        }
        sum_groups(tile, first_row, step, weights);
        __syncthreads();
        add_groups(tile, first_row, step, totals);
        buffer_ ^= 1;
        weights = following;
      }
      write(tile, first_row, totals);
    }
  }

 private:
  // Values of the tile that a thread of the smallest block owns.
  static constexpr int kOwned = 2 * kSquares;

  __device__ int step_groups() const {
    return warps_ * kWarpGroups;
  }
  __device__ int groups_of_step(int step) const {
    return min(step_groups(), groups_ - step * step_groups());
  }
  // Behind the end of k where the warp has no such group.
  __device__ int64_t piece_start(int step, int i, int half) const {
    const int group = step * step_groups() + i * warps_ + warp_;
    return static_cast<int64_t>(group) * kScaleGroup + half * kHalfGroup + lane_ % kLanesOfRow * kPiece;
  }
  __device__ int rows_of_pass(const Fp8Tile& tile, int first_row) const {
    return min(kRows, tile.rows - first_row);
  }

  __device__ void load_x(const Fp8Tile& tile, int first_row, int step, int i, uint4 (&x)[kSquares][2]) const {
#pragma unroll
    for (int square = 0; square < kSquares; ++square) {
      const int row = first_row + square * kSquareRows + lane_ / kLanesOfRow;
      const bool is_live = row < tile.rows;
      const uint8_t* from = operands_.q + (is_live ? operands_.x_row(tile.first_row + row) : 0) * operands_.k;
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int64_t k = piece_start(step, i, half);
        x[square][half] =
            is_live && k < operands_.k ? *reinterpret_cast<const uint4*>(from + k) : make_uint4(0, 0, 0, 0);
      }
    }
  }

  __device__ void sum_groups(const Fp8Tile& tile, int first_row, int step, const FewWeights& weights) {
    uint4 x[kWarpGroups][kSquares][2];
#pragma unroll
    for (int i = 0; i < kWarpGroups; ++i) load_x(tile, first_row, step, i, x[i]);
    const int rows = rows_of_pass(tile, first_row);
#pragma unroll
    for (int i = 0; i < kWarpGroups; ++i) {
      const int place = i * warps_ + warp_;
      if (place >= groups_of_step(step)) break;
      if (lane_ < rows)
        memory_.scales[buffer_][place][lane_] =
            scale_of(tile, first_row + lane_, step * step_groups() + place);
      float sums[kSquares][4] = {};
#pragma unroll
      for (int half = 0; half < 2; ++half) {
#pragma unroll
        for (int k_step = 0; k_step < kSteps; ++k_step) {
          uint32_t left[4];
          expand_left(weights.pieces[i][half][0], weights.pieces[i][half][1], k_step, left);
#pragma unroll
          for (int square = 0; square < kSquares; ++square) {
            if (square * kSquareRows >= rows) break;
            uint32_t right[2];
            expand_right(x[i][square][half], k_step, right);
            add_product(sums[square], left, right);
          }
        }
      }
      put(sums, memory_.sums[buffer_][place]);
    }
  }

  __device__ float scale_of(const Fp8Tile& tile, int row, int group) const {
    return operands_.scale[operands_.x_row(tile.first_row + row) * groups_ + group] *
           tile.weight_scale[group];
  }

  __device__ void put(const float (&sums)[kSquares][4], float (&to)[kRows][kPaddedColumns]) const {
    const int column = lane_ / 4, row = lane_ % 4 * 2;
#pragma unroll
    for (int square = 0; square < kSquares; ++square) {
#pragma unroll
      for (int i = 0; i < 4; ++i)
        to[square * kSquareRows + row + i % 2][column + i / 2 * 8] = sums[square][i];
    }
  }

  // The step's groups to the values that the thread owns.
  __device__ void add_groups(const Fp8Tile& tile, int first_row, int step, float (&totals)[kOwned]) const {
    const int count = groups_of_step(step), values = rows_of_pass(tile, first_row) * kFewColumns;
#pragma unroll
    for (int i = 0; i < kOwned; ++i) {
      const int value = static_cast<int>(threadIdx.x + i * blockDim.x);
      if (value >= values) break;
      const int row = value / kFewColumns, column = value % kFewColumns;
#pragma unroll 8
      for (int group = 0; group < count; ++group)
        totals[i] =
            fmaf(memory_.sums[buffer_][group][row][column], memory_.scales[buffer_][group][row], totals[i]);
    }
  }

  __device__ void write(const Fp8Tile& tile, int first_row, const float (&totals)[kOwned]) const {
    const int values = rows_of_pass(tile, first_row) * kFewColumns;
#pragma unroll
    for (int i = 0; i < kOwned; ++i) {
      const int value = static_cast<int>(threadIdx.x + i * blockDim.x);
      const int column = value % kFewColumns;
      if (value >= values || column >= tile.columns) continue;
      write_fp8(operands_, tile.first_row + first_row + value / kFewColumns, tile.first_column + column,
                totals[i]);
    }
  }

  const Fp8Operands& operands_;
  FewRowsMemory<kSquares>& memory_;
  const int lane_;
  const int warp_;
  const int warps_;
  const int groups_;
  int buffer_ = 0;
};

// Threads of a block, so that its warps have equal shares of the groups.
inline int few_rows_threads(int64_t k) {
  constexpr int kFewestWarps = 2;  // own all values of a tile
  const int64_t groups = (k + kScaleGroup - 1) / kScaleGroup;
  const int64_t steps = (groups + kStepGroups - 1) / kStepGroups;
  const int64_t shares = steps * kWarpGroups;
  const int64_t warps = shares == 0 ? 0 : (groups + shares - 1) / shares;
  return static_cast<int>(warps < kFewestWarps ? kFewestWarps : warps) * kWarpSize;
}

}  // namespace musaic
