#pragma once

#include "gpu_copy.cuh"
#include "ops/linear_fp8/fp8_tile.cuh"

// Tiles of 16 columns for few rows: the warps of a block share the groups of k, two a warp and step, and
// their sums meet in shared memory. Several blocks of a multiprocessor take turns to wait for weights.
namespace musaic {

inline constexpr int kFewColumns = 16;
inline constexpr int kFewWarps = 12;  // at most
inline constexpr int kWarpGroups = 2;
inline constexpr int kStepGroups = kFewWarps * kWarpGroups;
inline constexpr int kSquareRows = 8;
inline constexpr int kPaddedColumns = kFewColumns + 4;  // 4: a warp's sums go to banks of their own

// kSquares: times 8 rows at once.
template <int kSquares>
struct FewRowsMemory {
  static constexpr int kRows = kSquares * kSquareRows;
  float sums[kStepGroups][kRows][kPaddedColumns];
  float scales[kStepGroups][kRows];
};

// A warp's weights of a step: of rows g and g + 8 of each half group.
struct FewWeights {
  uint4 pieces[kWarpGroups][2][2];
};

template <int kSquares>
class FewRows {
 public:
  static constexpr int kRows = kSquares * kSquareRows;
  // Of a multiprocessor; their registers hold the weights that are on their way.
  static constexpr int kThreads = kSquares == 1 ? 768 : 512;

  __device__ FewRows(const Fp8Operands& operands, FewRowsMemory<kSquares>& memory)
      : operands_(operands),
        memory_(memory),
        lane_(static_cast<int>(threadIdx.x) % kWarpSize),
        warp_(static_cast<int>(threadIdx.x) / kWarpSize),
        warps_(static_cast<int>(blockDim.x) / kWarpSize),
        width_(static_cast<int>(operands.k)),
        groups_(static_cast<int>(operands.groups())),
        steps_((groups_ + step_groups() - 1) / step_groups()) {}

  __device__ void load(const Fp8Tile& tile, int step, FewWeights& to) const {
    const int column = lane_ / kLanesOfRow;
    const int first = first_of_step(step);
    const uint8_t* low = tile.weight + (column * width_ + first);
    const uint8_t* high = low + 8 * width_;
    const bool has_low = column < tile.columns, has_high = column + 8 < tile.columns;
    const uint4 zeros = make_uint4(0, 0, 0, 0);
#pragma unroll
    for (int i = 0; i < kWarpGroups; ++i) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int k = i * group_distance() + half * kHalfGroup;
        const bool is_there = first + k < width_;
        to.pieces[i][half][0] = is_there && has_low ? load_once(low + k) : zeros;
        to.pieces[i][half][1] = is_there && has_high ? load_once(high + k) : zeros;
      }
    }
  }

  // All rows of the tile. `weights` has its first step.
  __device__ void run(const Fp8Tile& tile, FewWeights& weights) {
    for (int first_row = 0; first_row < tile.rows; first_row += kRows) {
      float totals[kOwned] = {};
      for (int step = 0; step < steps_; ++step) {
        if (step > 0 || (steps_ > 1 && first_row > 0)) load(tile, step, weights);
        sum_groups(tile, first_row, step, weights);
        __syncthreads();
        add_groups(tile, first_row, step, totals);
        __syncthreads();
      }
      write(tile, first_row, totals);
    }
  }

 private:
  // Values of the tile that a thread of the smallest block owns.
  static constexpr int kOwned = 2 * kSquares;
  // Of x, as far as registers go.
  static constexpr int kGroupsAhead = kSquares == 1 ? kWarpGroups : 1;

  __device__ int step_groups() const {
    return warps_ * kWarpGroups;
  }
  __device__ int groups_of_step(int step) const {
    return min(step_groups(), groups_ - step * step_groups());
  }
  // Of the lane's pieces of a step the first; behind the end of k where there is none.
  __device__ int first_of_step(int step) const {
    return (step * step_groups() + warp_) * kScaleGroup + lane_ % kLanesOfRow * kPiece;
  }
  __device__ int group_distance() const {
    return warps_ * kScaleGroup;
  }
  __device__ int rows_of_pass(const Fp8Tile& tile, int first_row) const {
    return min(kRows, tile.rows - first_row);
  }

  // x_row: of the pass's row that is the lane's number.
  __device__ void load_x(int x_row, int rows, int step, int i, uint4 (&x)[kSquares][2]) const {
    const int first = first_of_step(step) + i * group_distance();
#pragma unroll
    for (int square = 0; square < kSquares; ++square) {
      const int row = square * kSquareRows + lane_ / kLanesOfRow;
      const int64_t from = __shfl_sync(0xffffffffu, x_row, row);
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int k = first + half * kHalfGroup;
        x[square][half] = row < rows && k < width_
                              ? *reinterpret_cast<const uint4*>(operands_.q + (from * width_ + k))
                              : make_uint4(0, 0, 0, 0);
      }
    }
  }

  __device__ void sum_groups(const Fp8Tile& tile, int first_row, int step, const FewWeights& weights) {
    const int rows = rows_of_pass(tile, first_row);
    const int x_row =
        lane_ < rows ? static_cast<int>(operands_.x_row(tile.first_row + first_row + lane_)) : 0;
#pragma unroll
    for (int i = 0; i < kWarpGroups; i += kGroupsAhead) {
      uint4 x[kGroupsAhead][kSquares][2];
#pragma unroll
      for (int ahead = 0; ahead < kGroupsAhead; ++ahead) load_x(x_row, rows, step, i + ahead, x[ahead]);
      put_scales(tile, x_row, rows, step, i);
      float sums[kGroupsAhead][kSquares][4] = {};
#pragma unroll
      for (int half = 0; half < 2; ++half) {
#pragma unroll
        for (int k_step = 0; k_step < kSteps; ++k_step) {
#pragma unroll
          for (int ahead = 0; ahead < kGroupsAhead; ++ahead) {
            const uint4(&pieces)[2] = weights.pieces[i + ahead][half];
            uint32_t left[4];
            expand_left(pieces[0], pieces[1], k_step, left);
#pragma unroll
            for (int square = 0; square < kSquares; ++square) {
              if (square > 0 && square * kSquareRows >= rows) break;
              uint32_t right[2];
              expand_right(x[ahead][square][half], k_step, right);
              F16Product::add_unordered(sums[ahead][square], left, right);
            }
          }
        }
      }
#pragma unroll
      for (int ahead = 0; ahead < kGroupsAhead; ++ahead) {
        const int place = (i + ahead) * warps_ + warp_;
        if (place < groups_of_step(step)) put(sums[ahead], memory_.sums[place]);
      }
    }
  }

  // Those of kGroupsAhead groups and the pass's rows, times the weight's.
  __device__ void put_scales(const Fp8Tile& tile, int x_row, int rows, int step, int i) const {
    if (lane_ >= rows) return;
#pragma unroll
    for (int ahead = 0; ahead < kGroupsAhead; ++ahead) {
      const int place = (i + ahead) * warps_ + warp_;
      const int group = step * step_groups() + place;
      if (group < groups_)
        memory_.scales[place][lane_] =
            operands_.scale[static_cast<int64_t>(x_row) * groups_ + group] * tile.weight_scale[group];
    }
  }

  // Called by all lanes.
  __device__ void put(float (&sums)[kSquares][4], float (&to)[kRows][kPaddedColumns]) const {
    const int column = lane_ / 4, row = lane_ % 4 * 2;
#pragma unroll
    for (int square = 0; square < kSquares; ++square) {
      F16Product::order(sums[square]);
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
        totals[i] = fmaf(memory_.sums[group][row][column], memory_.scales[group][row], totals[i]);
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
  const int width_;
  const int groups_;
  const int steps_;
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
