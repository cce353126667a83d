#pragma once

#include <algorithm>

#include "gpu_launch.cuh"
#include "ops/linear/tiles_sm90.cuh"

// y = x · weightᵀ of bf16 weights by Hopper's matrix units. x is the sum of two bf16 values, which differs
// from it by 2^-18 of its size at most. A sum takes steps of 16 values of k in ascending order, in each the
// larger parts first; every shape of tile keeps to it.
//
// Two warpgroups of a block bring every other stage of the ring: they split 64 values of each row of x and
// have the weight copied. Two more multiply.
namespace musaic {

inline constexpr int kSplitParts = 2;
inline constexpr int kStageValues = 64;  // of k: rows of 128 bytes

// A block's tile in tiles of 64 rows and kColumns columns: a multiplying warpgroup has one.
template <int kRowTiles_, int kColumnTiles_, int kColumns_, int kStages_>
struct Bf16TileShape {
  static constexpr int kRowTiles = kRowTiles_;
  static constexpr int kColumnTiles = kColumnTiles_;
  static constexpr int kColumns = kColumns_;
  static constexpr int kStages = kStages_;
  static constexpr int kRows = kWarpgroupRows * kRowTiles;
  static constexpr int kProducers = 2;
  static constexpr int kConsumers = kRowTiles * kColumnTiles;
  static constexpr int kThreads = kWarpgroupSize * (kProducers + kConsumers);

  static_assert(kStages % kProducers == 0, "a stage is always brought by the same warpgroup");
};

template <class Shape>
struct Bf16Stage {
  uint8_t x[kSplitParts][Shape::kRows][kSwizzledRow];  // the larger parts, the smaller ones
  uint8_t weight[Shape::kColumnTiles][Shape::kColumns][kSwizzledRow];
};

// Dynamic shared memory, at a multiple of 1024.
template <class Shape>
struct Bf16TileMemory {
  Bf16Stage<Shape> stages[Shape::kStages];
  Barrier full[Shape::kStages];
  Barrier empty[Shape::kStages];
};

// The block's tiles: those of one range of columns side by side, so that the blocks at work share weights.
template <class Shape>
class Bf16TileWalk {
 public:
  __device__ explicit Bf16TileWalk(const LinearCall& call)
      : rows_(static_cast<int>(live_count(call.live_rows, call.x.outer))),
        row_tiles_((rows_ + Shape::kRows - 1) / Shape::kRows),
        num_tiles_(row_tiles_ * column_tiles(call)),
        next_(static_cast<int>(blockIdx.x)) {}

  static __host__ __device__ int column_tiles(const LinearCall& call) {
    constexpr int kColumns = Shape::kColumnTiles * Shape::kColumns;
    return static_cast<int>((call.y.width + kColumns - 1) / kColumns);
  }
  // The tile's first row and column.
  __device__ bool next(int& row, int& column) {
    if (next_ >= num_tiles_) return false;
    column = next_ / row_tiles_;
    row = (next_ - column * row_tiles_) * Shape::kRows;
    column *= Shape::kColumnTiles * Shape::kColumns;
    next_ += static_cast<int>(gridDim.x);
    return true;
  }
  __device__ int rows() const { return rows_; }

 private:
  int rows_;
  int row_tiles_;
  int num_tiles_;
  int next_;
};

inline __host__ __device__ int num_stages_of(const LinearCall& call) {
  return static_cast<int>((call.x.width + kStageValues - 1) / kStageValues);
}

// Eight values as bf16 parts: 16 bytes of the larger ones, 16 of the smaller ones.
__device__ inline void split_values(const float4& a, const float4& b, uint4 (&parts)[kSplitParts]) {
  const float values[8] = {a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w};
  uint32_t words[kSplitParts][4];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const float2 pair = make_float2(values[2 * i], values[2 * i + 1]);
    const __nv_bfloat162 large = __float22bfloat162_rn(pair);
    const float2 back = __bfloat1622float2(large);
    const __nv_bfloat162 small = __float22bfloat162_rn(make_float2(pair.x - back.x, pair.y - back.y));
    memcpy(&words[0][i], &large, sizeof(large));
    memcpy(&words[1][i], &small, sizeof(small));
  }
#pragma unroll
  for (int p = 0; p < kSplitParts; ++p)
    parts[p] = make_uint4(words[p][0], words[p][1], words[p][2], words[p][3]);
}

// A warpgroup that brings stages: the `index`-th of kProducers.
template <class Shape>
class Bf16Producer {
 public:
  static constexpr int kArrivals = kWarpgroupSize + 1;  // its threads, and the announced bytes

  __device__ Bf16Producer(const LinearCall& call, const TensorMap& weight, Bf16TileMemory<Shape>& memory,
                          int index)
      : call_(call),
        weight_(weight),
        memory_(memory),
        thread_(static_cast<int>(threadIdx.x) % kWarpgroupSize),
        index_(index) {
    write_.stage = index;
  }

  // While one stage's values are split, those of the next one are on their way.
  __device__ void run() {
    Position even(call_, index_), odd = even;
    Values even_values, odd_values;
    load(even, even_values);
    while (even.is_there) {
      odd = even.next(call_);
      load(odd, odd_values);
      store(even, even_values);
      if (!odd.is_there) break;
      even = odd.next(call_);
      load(even, even_values);
      store(odd, odd_values);
    }
    // Nobody may leave before what was copied is there.
    for (int s = 0; s < Shape::kStages; s += Shape::kProducers) wait_and_advance();
  }

 private:
  static constexpr int kPieces = kSwizzledRow / 16;
  static constexpr int kPieceValues = 8;
  static constexpr int kRowStep = kWarpgroupSize / kPieces;
  static constexpr int kMyRows = Shape::kRows / kRowStep;

  // One of the stages that the warpgroup brings.
  struct Position {
    Bf16TileWalk<Shape> walk;
    bool is_there;
    int row;
    int column;
    int step;

    __device__ Position(const LinearCall& call, int first) : walk(call), step(first) {
      is_there = walk.next(row, column);
      settle(call);
    }
    __device__ Position next(const LinearCall& call) const {
      Position result = *this;
      result.step += Shape::kProducers;
      result.settle(call);
      return result;
    }

   private:
    __device__ void settle(const LinearCall& call) {
      const int num_stages = num_stages_of(call);
      while (is_there && step >= num_stages) {
        step -= num_stages;
        is_there = walk.next(row, column);
      }
    }
  };

  using Values = float4[kMyRows][2];

  __device__ void wait_and_advance() {
    memory_.empty[write_.stage].wait(write_.parity ^ 1);
    write_.advance(Shape::kProducers);
  }

  __device__ void load(const Position& at, Values& x) const {
    const int64_t k = int64_t{at.step} * kStageValues + thread_ % kPieces * kPieceValues;
#pragma unroll
    for (int i = 0; i < kMyRows; ++i) {
      const int row = at.row + thread_ / kPieces + i * kRowStep;
      x[i][0] = x[i][1] = make_float4(0, 0, 0, 0);
      if (!at.is_there || row >= at.walk.rows() || k >= call_.x.width) continue;
      const float* from = static_cast<const float*>(call_.x.data) + row * call_.x.outer_stride + k;
      x[i][0] = reinterpret_cast<const float4*>(from)[0];
      x[i][1] = reinterpret_cast<const float4*>(from)[1];
    }
  }

  __device__ void store(const Position& at, const Values& x) {
    Barrier& full = memory_.full[write_.stage];
    Bf16Stage<Shape>& stage = memory_.stages[write_.stage];
    wait_and_advance();
    if (thread_ == 0) copy_weight(stage, full, at.column, at.step);
#pragma unroll
    for (int i = 0; i < kMyRows; ++i) {
      const uint32_t offset = swizzled_offset(thread_ / kPieces + i * kRowStep, thread_ % kPieces);
      uint4 parts[kSplitParts];
      split_values(x[i][0], x[i][1], parts);
#pragma unroll
      for (int p = 0; p < kSplitParts; ++p) *reinterpret_cast<uint4*>(&stage.x[p][0][0] + offset) = parts[p];
    }
    publish_to_matrix_units();
    full.arrive();
  }

  __device__ void copy_weight(Bf16Stage<Shape>& stage, Barrier& full, int column, int step) {
    int num_tiles = 0;
#pragma unroll
    for (int c = 0; c < Shape::kColumnTiles; ++c) num_tiles += column + c * Shape::kColumns < call_.y.width;
    full.arrive_and_expect(num_tiles * Shape::kColumns * kSwizzledRow);
#pragma unroll
    for (int c = 0; c < Shape::kColumnTiles; ++c) {
      if (c < num_tiles)
        copy_tile(shared_address(&stage.weight[c]), weight_, step * kSwizzledRow,
                  column + c * Shape::kColumns, 0, full);
    }
  }

  const LinearCall& call_;
  const TensorMap& weight_;
  Bf16TileMemory<Shape>& memory_;
  const int thread_;
  const int index_;
  RingPlace<Shape::kStages> write_;
};

// A warpgroup that multiplies: the `index`-th of kConsumers.
template <class Shape>
class Bf16Consumer {
 public:
  static constexpr int kArrivals = kWarpgroupSize / kWarpSize * Shape::kConsumers;

  __device__ Bf16Consumer(const LinearCall& call, Bf16TileMemory<Shape>& memory, int index)
      : call_(call),
        memory_(memory),
        row_tile_(index % Shape::kRowTiles),
        column_tile_(index / Shape::kRowTiles) {}

  __device__ void run() {
    Bf16TileWalk<Shape> walk(call_);
    const int num_stages = num_stages_of(call_);
    for (int row, column; walk.next(row, column);) {
      row += row_tile_ * kWarpgroupRows;
      column += column_tile_ * Shape::kColumns;
      if (row >= walk.rows() || column >= call_.y.width) {
        for (int step = 0; step < num_stages; ++step) skip();
        continue;
      }
      float sum[kSums];
      start(sum, false);
      for (int step = 1; step < num_stages; ++step) {
        start(sum, true);
        wait_for_products<1>(sum);
        release();
      }
      wait_for_products<0>(sum);
      release();
      write(row, walk.rows(), column, sum);
    }
  }

 private:
  static constexpr int kSums = Shape::kColumns / 2;
  static constexpr int kProducts = kSwizzledRow / 32;

  __device__ void start(float (&sum)[kSums], bool keep) {
    memory_.full[read_.stage].wait(read_.parity);
    const Bf16Stage<Shape>& stage = memory_.stages[read_.stage];
    const uint64_t right = swizzled_rows(shared_address(&stage.weight[column_tile_]));
    uint64_t left[kSplitParts];
#pragma unroll
    for (int p = 0; p < kSplitParts; ++p)
      left[p] = swizzled_rows(shared_address(&stage.x[p][row_tile_ * kWarpgroupRows]));
    begin_products();
#pragma unroll
    for (int i = 0; i < kProducts; ++i) {
#pragma unroll
      for (int p = 0; p < kSplitParts; ++p)
        Bf16Product<Shape::kColumns>::add(sum, left[p] + 2 * i, right + 2 * i, keep || i > 0 || p > 0);
    }
    end_products();
    read_.advance();
  }

  __device__ void skip() {
    memory_.full[read_.stage].wait(read_.parity);
    read_.advance();
    release();
  }

  // The oldest stage that was read.
  __device__ void release() {
    __syncwarp();
    if (threadIdx.x % kWarpSize == 0) memory_.empty[done_.stage].arrive();
    done_.advance();
  }

  __device__ void write(int row, int rows, int column, const float (&sum)[kSums]) const {
    const int64_t left = call_.y.width - column;
    const TileOutput output = {static_cast<float*>(call_.y.data) + row * call_.y.outer_stride + column,
                               call_.y.outer_stride,
                               rows - row,
                               static_cast<int>(left < Shape::kColumns ? left : Shape::kColumns),
                               call_.bias,
                               call_.bias_dtype,
                               column};
    output.write(sum);
  }

  const LinearCall& call_;
  Bf16TileMemory<Shape>& memory_;
  const int row_tile_;
  const int column_tile_;
  RingPlace<Shape::kStages> read_;
  RingPlace<Shape::kStages> done_;  // at most one stage behind
};

template <class Shape>
__global__ void __launch_bounds__(Shape::kThreads, 1)
    multiply_bf16_tiles(const __grid_constant__ TensorMap weight, const __grid_constant__ LinearCall call) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  extern __shared__ __align__(1024) uint8_t shared_bytes[];
  auto& memory = *reinterpret_cast<Bf16TileMemory<Shape>*>(shared_bytes);
  if (threadIdx.x == 0) {
    prefetch_map(weight);
    for (int s = 0; s < Shape::kStages; ++s) {
      memory.full[s].init(Bf16Producer<Shape>::kArrivals);
      memory.empty[s].init(Bf16Consumer<Shape>::kArrivals);
    }
    publish_barriers();
  }
  __syncthreads();
  wait_for_previous_kernel();
  const int warpgroup = __shfl_sync(0xffffffffu, static_cast<int>(threadIdx.x) / kWarpgroupSize, 0);
  if (warpgroup < Shape::kProducers) {
    Bf16Producer<Shape>(call, weight, memory, warpgroup).run();
  } else {
    Bf16Consumer<Shape>(call, memory, warpgroup - Shape::kProducers).run();
  }
#endif
}

template <class Shape>
int64_t num_bf16_tiles(const LinearCall& call) {
  return (call.x.outer + Shape::kRows - 1) / Shape::kRows * Bf16TileWalk<Shape>::column_tiles(call);
}

// False: the driver cannot map the weight.
template <class Shape>
bool launch_bf16_tiles(const LinearCall& call, gpuStream_t stream) {
  TensorMap map;
  if (!map_byte_rows(map, call.weight, 1, call.y.width, call.weight_row_bytes, Shape::kColumns)) return false;
  const auto blocks =
      static_cast<unsigned>(std::min<int64_t>(num_bf16_tiles<Shape>(call), num_multiprocessors()));
  launch_kernel_with_shared(multiply_bf16_tiles<Shape>, dim3(blocks), dim3(Shape::kThreads),
                            sizeof(Bf16TileMemory<Shape>), stream, map, call);
  return true;
}

}  // namespace musaic
