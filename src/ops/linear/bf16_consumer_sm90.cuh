#pragma once

#include "ops/linear/bf16_tile_shape_sm90.cuh"

// The warpgroups that multiply. They take turns with the steps of k: while one multiplies, which keeps its
// warps busy since a factor is in registers, the other one prepares its next step. The sum of the even steps,
// in ascending order, 16 values at a time and of them the larger parts of x first, is one's, that of the odd
// steps the other's. Every shape of tile keeps to this order, so that all give the same bits.
namespace musaic {

// A lane's rows of a tile are this one and the eighth behind. Neighbouring lanes have every other row, so
// that lanes that read x at once meet different banks; the products' rows are in this order too.
__device__ inline int row_of_lane() {
  const int warp = static_cast<int>(threadIdx.x) % kWarpgroupSize / kWarpSize;
  const int g = static_cast<int>(threadIdx.x) % kWarpSize / 4;
  return warp * 16 + g % 4 * 2 + g / 4;
}

// A lane's values of one step in bf16 parts, as products take them.
template <int kParts>
struct Bf16Left {
  static constexpr int kProducts = kStepValues / 16;
  uint32_t words[kProducts][kParts][4];

  __device__ void put(int product, int word, float2 x) {
    uint32_t parts[kParts];
    split_pair(x.x, x.y, parts);
#pragma unroll
    for (int part = 0; part < kParts; ++part) words[product][part][word] = parts[part];
  }
  __device__ void keep() {
#pragma unroll
    for (int i = 0; i < kProducts; ++i) {
#pragma unroll
      for (int part = 0; part < kParts; ++part) keep_in_place(words[i][part]);
    }
  }
};

// `index` is the warpgroup's: 0 has the even steps.
template <class Shape, bool kNorm>
class Bf16Consumer {
 public:
  // At a stage's barrier: of the warps that read it, in every block of the cluster.
  static constexpr int kArrivals = kWarpgroupSize / kWarpSize * Shape::kBlocks;

  __device__ Bf16Consumer(const LinearTileCall& call, int rows, Bf16TileMemory<Shape>& memory, int index)
      : call_(call),
        rows_(rows),
        memory_(memory),
        index_(index),
        column_(static_cast<int>(threadIdx.x) % 4 * 2) {
    const int row = row_of_lane(), t = static_cast<int>(threadIdx.x) % 4;
    const int part = row / Shape::kXRows * (kXPlanes * Shape::kXRows);
#pragma unroll
    for (int i = 0; i < kXOffsets; ++i)
      x_offsets_[i] = swizzled_offset(part + row % Shape::kXRows, 2 * i + t / 2) +
                      static_cast<uint32_t>(t % 2 * sizeof(float2));
  }

  __device__ void run() {
    const int num_steps = num_steps_of(call_);
    Bf16TileWalk<Shape> walk(call_);
    for (int first = 0; walk.is_there(); walk.advance(rows_), first += num_steps) {
      Sums sums;
      clear(sums);
      Addends addends;
      if (kEarlyAddends && call_.adds_to_y) {
#pragma unroll
        for (int i = 0; i < 4; ++i) load_addends(walk, i / 2, i % 2, addends[i / 2][i % 2]);
      }
      for (int step = index_; step < num_steps; step += kConsumers) {
        Left left;
        prepare(first + step, left);
        if (kTakesTurns && step > 0) meet<kThreads>(kTurn + index_);
        start(first + step, left, sums);
        if (kTakesTurns && step + 1 < num_steps) announce<kThreads>(kTurn + 1 - index_);
#pragma unroll
        for (int c = 0; c < Shape::kChains; ++c) {
#pragma unroll
          for (int p = 0; p < Shape::kProducts; ++p) wait_for_products<0>(sums[c][p]);
        }
        release(first + step);
      }
      finish(walk, sums, addends);
    }
  }

 private:
  static constexpr int kThreads = kConsumers * kWarpgroupSize;
  static constexpr int kTogether = 1;  // numbers of meetings: of both, and two for turns
  static constexpr int kTurn = 2;
  static constexpr int kXOffsets = 4;
  static constexpr int kQuarter = Shape::kColumns / 8;  // a lane's sums of a quarter of the tile's columns
  static constexpr bool kTakesTurns = Shape::kTakesTurns;
  static constexpr bool kEarlyAddends = Shape::kColumns <= 128;  // where they find registers
  using Left = Bf16Left<Shape::kParts>;
  using Sums = float[Shape::kChains][Shape::kProducts][Shape::kSums];
  using Addends = float2[2][2][kQuarter / 4];  // of a row, a half of the columns, two of every 8

  __device__ void clear(Sums& sums) {
    squares_[0] = squares_[1] = 0.0f;
#pragma unroll
    for (int c = 0; c < Shape::kChains; ++c) {
#pragma unroll
      for (int p = 0; p < Shape::kProducts; ++p) {
#pragma unroll
        for (int i = 0; i < Shape::kSums; ++i) sums[c][p][i] = 0.0f;
        keep_in_place(sums[c][p]);
      }
    }
  }

  __device__ void prepare(int place, Left& left) {
    memory_.full[place % Shape::kStages].wait(Shape::parity(place));
    const uint8_t* x = &memory_.stages[place % Shape::kStages].x[0][0][0][0];
    const float* norm_weights = &memory_.norm_weights[place % Shape::kStages][column_];
#pragma unroll
    for (int i = 0; i < Left::kProducts; ++i) {
      const uint8_t* part = x + i / 2 * (Shape::kXRows * kSwizzledRow);
#pragma unroll
      for (int c = 0; c < 2; ++c) {
        float2 norm = make_float2(1, 1);
        if constexpr (kNorm) norm = *reinterpret_cast<const float2*>(norm_weights + 16 * i + 8 * c);
#pragma unroll
        for (int r = 0; r < 2; ++r) {
          float2 value =
              *reinterpret_cast<const float2*>(part + r * (8 * kSwizzledRow) + x_offsets_[i % 2 * 2 + c]);
          if constexpr (kNorm) {
            squares_[r] = fmaf(value.x, value.x, squares_[r]);
            squares_[r] = fmaf(value.y, value.y, squares_[r]);
            value = make_float2(__fmul_rn(value.x, norm.x), __fmul_rn(value.y, norm.y));
          }
          left.put(i, 2 * c + r, value);
        }
      }
    }
    left.keep();
  }

  __device__ void start(int place, const Left& left, Sums& sums) {
    const uint64_t right = swizzled_rows(shared_address(&memory_.stages[place % Shape::kStages].weight));
    constexpr uint64_t kNextProduct = Shape::kProductColumns * kSwizzledRow >> 4;
    begin_products();
#pragma unroll
    for (int i = 0; i < Left::kProducts; ++i) {
#pragma unroll
      for (int part = 0; part < Shape::kParts; ++part) {
#pragma unroll
        for (int p = 0; p < Shape::kProducts; ++p)
          Bf16RegisterProduct<Shape::kProductColumns>::add(
              sums[part % Shape::kChains][p], left.words[i][part], right + p * kNextProduct + 2 * i);
      }
    }
    end_products();
  }

  __device__ void release(int place) {
    __syncwarp();
    const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
    if (lane < Shape::kBlocks) memory_.empty[place % Shape::kStages].arrive_at(static_cast<uint32_t>(lane));
  }

  // Each warpgroup finishes a quarter of the columns of both halves of the tile; of its lane this column is
  // the first.
  __device__ int first_column(const Bf16TileWalk<Shape>& walk) const {
    return walk.column() + index_ * (Shape::kHalfColumns / 2) + column_;
  }
  __device__ float* y_row(int64_t row) const {
    return static_cast<float*>(call_.linear.y.data) + row * call_.linear.y.outer_stride;
  }

  // Of the lane's row `r` and the tile's half `half`.
  __device__ void load_addends(const Bf16TileWalk<Shape>& walk, int r, int half,
                               float2 (&addends)[kQuarter / 4]) const {
    const int row = walk.row() + row_of_lane() + 8 * r;
    const int first = first_column(walk) + half * Shape::kHalfColumns;
#pragma unroll
    for (int i = 0; i < kQuarter / 4; ++i) {
      if (row < rows_ && first + 8 * i < call_.linear.y.width)
        addends[i] = *reinterpret_cast<const float2*>(y_row(row) + first + 8 * i);
    }
  }

  __device__ void finish(const Bf16TileWalk<Shape>& walk, const Sums& sums, Addends& addends) {
    float mine[2][kQuarter];
    exchange(sums, mine);
    const int column = first_column(walk);
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const int row = row_of_lane() + 8 * r;
      const float factor = kNorm ? factor_of(row) : 1.0f;
      if (walk.row() + row >= rows_) continue;
      float* y = y_row(walk.row() + row);
      if (call_.swiglu) {
        write_swiglu(y, column, r, factor, mine);
        continue;
      }
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        if (!kEarlyAddends && call_.adds_to_y) load_addends(walk, r, half, addends[r][half]);
        write(y, column + half * Shape::kHalfColumns, r, factor, mine[half], addends[r][half]);
      }
    }
    meet<kThreads>(kTogether);  // the other one has read what was left to it
  }

  // Sums of both warpgroups' steps, the even ones' first.
  __device__ void exchange(const Sums& sums, float (&mine)[2][kQuarter]) {
    const int thread = static_cast<int>(threadIdx.x) % kWarpgroupSize;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
#pragma unroll
      for (int i = 0; i < kQuarter; i += 4) {
        float others[4];
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          const float low = sum_at(sums, 2 * half * kQuarter + i + j);
          const float high = sum_at(sums, (2 * half + 1) * kQuarter + i + j);
          mine[half][i + j] = index_ == 0 ? low : high;
          others[j] = index_ == 0 ? high : low;
        }
        memory_.sums[index_][(half * kQuarter + i) / 4][thread] =
            make_float4(others[0], others[1], others[2], others[3]);
      }
    }
    if constexpr (kNorm) {
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        const float sum = sum_over_quad(squares_[r]);
        if (thread % 4 == 0) memory_.squares[index_][row_of_lane() + 8 * r] = sum;
      }
    }
    meet<kThreads>(kTogether);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
#pragma unroll
      for (int i = 0; i < kQuarter; i += 4) {
        const float4 other = memory_.sums[1 - index_][(half * kQuarter + i) / 4][thread];
        mine[half][i] += other.x, mine[half][i + 1] += other.y;
        mine[half][i + 2] += other.z, mine[half][i + 3] += other.w;
      }
    }
  }
  static __device__ float sum_at(const Sums& sums, int i) {
    const float sum = sums[0][i / Shape::kSums][i % Shape::kSums];
    if constexpr (Shape::kChains == 1) return sum;
    return sum + sums[Shape::kChains - 1][i / Shape::kSums][i % Shape::kSums];
  }
  __device__ float factor_of(int row) const {
    return norm_factor(memory_.squares[0][row] + memory_.squares[1][row],
                       1.0f / static_cast<float>(call_.linear.x.width), call_.eps);
  }

  // Two neighbouring columns of every 8, of row `row` of the lane's two.
  __device__ void write(float* y, int column, int row, float factor, const float (&sums)[kQuarter],
                        const float2 (&addends)[kQuarter / 4]) const {
#pragma unroll
    for (int i = 0; i < kQuarter / 4; ++i) {
      const int at = column + 8 * i;
      if (at >= call_.linear.y.width) continue;
      float2 value = make_float2(finish_sum(sums[4 * i + 2 * row], factor, bias_of(call_, at)),
                                 finish_sum(sums[4 * i + 2 * row + 1], factor, bias_of(call_, at + 1)));
      if (call_.adds_to_y)
        value = make_float2(__fadd_rn(addends[i].x, value.x), __fadd_rn(addends[i].y, value.y));
      *reinterpret_cast<float2*>(y + at) = value;
    }
  }
  __device__ void write_swiglu(float* y, int column, int row, float factor,
                               const float (&halves)[2][kQuarter]) const {
#pragma unroll
    for (int i = 0; i < kQuarter / 4; ++i) {
      const int64_t at = column + 8 * i;
      if (at >= call_.linear.y.width) continue;
      float value[2];
#pragma unroll
      for (int j = 0; j < 2; ++j) {
        const int from = 4 * i + 2 * row + j;
        const float gate = finish_sum(halves[0][from], factor, bias_of(call_, at + j));
        value[j] = swiglu_of(
            gate, finish_sum(halves[1][from], factor, bias_of(call_, at + j + call_.linear.y.width)));
      }
      *reinterpret_cast<float2*>(y + at) = make_float2(value[0], value[1]);
    }
  }

  const LinearTileCall& call_;
  const int rows_;  // live ones
  Bf16TileMemory<Shape>& memory_;
  const int index_;
  const int column_;               // of the lane's first sum
  uint32_t x_offsets_[kXOffsets];  // of the lane's values in a row's 128 bytes
  float squares_[2];               // of the lane's values of its rows
};

}  // namespace musaic
