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
      const Place place = place_of(walk);
      Addends addends;
      if (kEarlyAddends && call_.adds_to_y) load_addends(place, addends);
      const bool is_last = walk.is_last(rows_);
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
        // A block may end when its own steps are there: nobody tells it of stages that stay unused.
        if (!is_last || step + Shape::kStages < num_steps) release(first + step);
      }
      finish(place, sums, addends);
      if (!is_last) meet<kThreads>(kTogether);  // all have read the sums
    }
  }

 private:
  static constexpr int kThreads = kConsumers * kWarpgroupSize;
  static constexpr int kTogether = 1;  // numbers of meetings: of both, and two for turns
  static constexpr int kTurn = 2;
  static constexpr int kXOffsets = 4;
  static constexpr int kHalfSums = Shape::kColumns / 4;  // a lane's, of half of the tile's columns
  static constexpr int kPieces = Shape::kColumns / 4;    // of four columns, in a row of the tile
  static constexpr int kOwnPieces = kWarpgroupRows * kPieces / kThreads;
  static constexpr bool kTakesTurns = Shape::kTakesTurns;
  static constexpr bool kEarlyAddends = Shape::kColumns <= 128;  // where they find registers
  using Left = Bf16Left<Shape::kParts>;
  using Sums = float[Shape::kChains][Shape::kProducts][Shape::kSums];
  using Addends = float4[kEarlyAddends ? kOwnPieces : 1];

  __device__ void clear(Sums& sums) {
#pragma unroll
    for (int i = 0; i < 4; ++i) squares_[0][i] = squares_[1][i] = 0.0f;
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
            float& squares = squares_[r][i % 2 * 2 + c];
            squares = fmaf(value.x, value.x, squares);
            squares = fmaf(value.y, value.y, squares);
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
    if constexpr (kNorm) memory_.norm_read[place % Shape::kStages].arrive();
    __syncwarp();
    const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
    if (lane < Shape::kBlocks) memory_.empty[place % Shape::kStages].arrive_at(static_cast<uint32_t>(lane));
  }

  // Where a tile's results go.
  struct Place {
    float* y;
    int rows;
    int columns;
    int weight_row;
  };
  __device__ Place place_of(const Bf16TileWalk<Shape>& walk) const {
    const int row = walk.row(), column = walk.column();
    return {static_cast<float*>(call_.linear.y.data) + row * call_.linear.y.outer_stride + column,
            rows_ - row, static_cast<int>(call_.linear.y.width) - column, column};
  }

  // Calls `use` for each of the thread's pieces of y, of a tile with kInRow of them in a row: with number,
  // row and first column in the tile, place in memory, and whether it is there. Neighbouring threads have
  // neighbouring pieces.
  template <int kInRow, class Use>
  __device__ void for_pieces(const Place& place, Use use) const {
    constexpr int kCount = kWarpgroupRows * kInRow / kThreads;
    const int thread = static_cast<int>(threadIdx.x) - kWarpgroupSize;
#pragma unroll(kEarlyAddends ? kCount : 2)
    for (int i = 0; i < kCount; ++i) {
      const int at = thread + i * kThreads, row = at / kInRow, column = at % kInRow * 4;
      float* y = place.y + row * call_.linear.y.outer_stride + column;
      use(i, row, column, reinterpret_cast<float4*>(y), row < place.rows && column < place.columns);
    }
  }

  __device__ void load_addends(const Place& place, Addends& addends) const {
    for_pieces<kPieces>(place, [&](int i, int, int, const float4* y, bool is_there) {
      if (kEarlyAddends && is_there) addends[kEarlyAddends ? i : 0] = *y;
    });
  }

  __device__ void finish(const Place& place, const Sums& sums, const Addends& addends) {
    if (index_ == 0)
      add_up<0>(sums);
    else
      add_up<1>(sums);
    if (call_.swiglu) {
      for_pieces<kPieces / 2>(place, [&](int, int row, int column, float4* y, bool is_there) {
        const int weight_row = is_there ? place.weight_row + column : 0;
        const float4 gate = finished(weight_row, row, column);
        const float4 up = finished(call_.linear.y.width + weight_row, row, Shape::kHalfColumns + column);
        const float4 value = swiglu_of(gate, up);
        if (is_there) *y = value;
      });
      return;
    }
    for_pieces<kPieces>(place, [&](int i, int row, int column, float4* y, bool is_there) {
      float4 value = finished(is_there ? place.weight_row + column : 0, row, column);
      if (!is_there) return;
      if (call_.adds_to_y) value = sum_of(kEarlyAddends ? addends[kEarlyAddends ? i : 0] : *y, value);
      *y = value;
    });
  }

  // Leaves the sums of both warpgroups' steps, the even ones' first, in memory: each adds its own of one half
  // of the columns to the other one's. Leaves the rows' factors too.
  template <int kIndex>
  __device__ void add_up(const Sums& sums) {
    for_sums<1 - kIndex>(sums, [](int, float2& at, const float2& mine) { at = mine; });
    if constexpr (kNorm) {
      const int thread = static_cast<int>(threadIdx.x) % kWarpgroupSize;
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        const float(&s)[4] = squares_[r];
        const float sum = sum_over_quad((s[0] + s[1]) + (s[2] + s[3]));
        if (thread % 4 == 0) memory_.squares[kIndex][row_of_lane() + 8 * r] = sum;
      }
    }
    meet<kThreads>(kTogether);
    float2 both[kHalfSums / 2];
    for_sums<kIndex>(sums, [&](int i, const float2& at, const float2& mine) {
      both[i] = make_float2(at.x + mine.x, at.y + mine.y);
    });
    for_sums<kIndex>(sums, [&](int i, float2& at, const float2&) { at = both[i]; });
    if (kNorm && kIndex == 0) {
      const int row = static_cast<int>(threadIdx.x) - kWarpgroupSize;
      if (row < kWarpgroupRows) memory_.squares[0][row] = factor_of(row);
    }
    meet<kThreads>(kTogether);
  }
  // Calls `use` with number and place of two neighbouring sums of one half of the columns, and with the
  // lane's own.
  template <int kHalf, class Use>
  __device__ void for_sums(const Sums& sums, Use use) {
#pragma unroll
    for (int i = 0; i < kHalfSums; i += 2) {
      const int sum = kHalf * kHalfSums + i;
      float* at = sums_at(memory_, row_of_lane() + i / 2 % 2 * 8, sum / 4 * 8 + column_);
      use(i / 2, *reinterpret_cast<float2*>(at), make_float2(sum_at(sums, sum), sum_at(sums, sum + 1)));
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

  // Of four columns of a row of the tile, whose weights' rows begin at `weight_row`.
  __device__ float4 finished(int64_t weight_row, int row, int column) const {
    const float4 sums = *reinterpret_cast<const float4*>(sums_at(memory_, row, column));
    return finish_sums(call_, sums, kNorm ? memory_.squares[0][row] : 1.0f, weight_row);
  }

  const LinearTileCall& call_;
  const int rows_;  // live ones
  Bf16TileMemory<Shape>& memory_;
  const int index_;
  const int column_;               // of the lane's first sum
  uint32_t x_offsets_[kXOffsets];  // of the lane's values in a row's 128 bytes
  float squares_[2][4];            // of the lane's values of its rows, by their place in 32 neighbours
};

}  // namespace musaic
