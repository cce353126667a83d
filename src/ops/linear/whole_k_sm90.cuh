#pragma once

#include "gpu_launch.cuh"
#include "ops/linear/bf16_tile_shape_sm90.cuh"

// Calls of LinearTileCall with few rows, by Hopper's matrix units: a block has all of k of its rows of the
// weight in shared memory before it waits for the kernel ahead, and reads x straight into registers, all of
// it at once. The weight is the products' left factor, so that a block has as few rows of x as suit the
// device.
//
// A warpgroup has every other step of k, as in multiply_bf16_tiles, and adds in the same order: both give a
// row the same bits.
namespace musaic {

// A block's tile has kRows rows of x and kColumns rows of the weight: two halves, which for swiglu are of the
// weight's two halves.
template <int kRows_, int kSquares_, int kSteps_, int kBlocks_, int kGroup_, int kGroups_>
struct WholeKShape {
  static constexpr int kRows = kRows_;
  static constexpr int kSquares = kSquares_;  // of 64 rows of the weight
  static constexpr int kColumns = kSquares * kWarpgroupRows;
  static constexpr int kHalfColumns = kColumns / 2;
  static constexpr int kSteps = kSteps_;  // of k, at most
  static constexpr int kWarpgroups = 2;
  static constexpr int kMultipliers = kWarpgroups * kWarpgroupSize;
  static constexpr int kThreads = kMultipliers + kWarpSize;  // the last warp has the weight copied
  static constexpr int kBlocks = kBlocks_;                   // of a multiprocessor
  static constexpr int kQuads = kRows / 8;  // of a thread: neighbouring values of x, in a step
  static constexpr int kGroup = kGroup_;    // steps of a warpgroup that meet the weight at once
  static constexpr int kGroups = kGroups_;  // in registers and, as bf16, in shared memory
  static constexpr int kOwnSteps = (kSteps + kWarpgroups - 1) / kWarpgroups;  // of a warpgroup
  static constexpr bool kReuses = kOwnSteps > kGroup* kGroups;                // places of groups
  static constexpr int kSums = kRows / 2;                                     // of a thread, of a square
  static_assert(kRows == 8 || kRows == 16 || kRows == 32, "sixteen lanes read a row, or eight one or two");

  static dim3 grid(const LinearTileCall& call) {
    return dim3(static_cast<unsigned>((weight_rows_of(call) + kColumns - 1) / kColumns),
                static_cast<unsigned>((call.linear.x.outer + kRows - 1) / kRows));
  }
};

// Dynamic shared memory, at a multiple of 1024.
template <class Shape, bool kNorm>
struct WholeKMemory {
  union {
    uint8_t weight[Shape::kSteps][Shape::kColumns][kSwizzledRow];
    float sums[Shape::kWarpgroups][Shape::kRows][Shape::kColumns + 4];  // spreads a warp over the banks
  };
  uint8_t x[Shape::kWarpgroups][Shape::kGroups][Shape::kGroup][Shape::kRows][kSwizzledRow];
  float squares[Shape::kWarpgroups][Shape::kRows];
  float norm_weights[kNorm ? Shape::kSteps * kStepValues : 1];
  Barrier full[Shape::kSteps];  // of the weight's steps
};

// What a thread reads of x: quads of neighbouring values. Eight lanes read 128 bytes of a row at once.
template <class Shape>
struct WholeKLane {
  static constexpr int kLanes = Shape::kRows == 8 ? 16 : 8;  // of a row
  static constexpr int kInRow = 16 / kLanes;                 // a lane's quads of a row, in a step
  static constexpr int kRowDistance = 16;                    // between a lane's rows
  int lane;                                                  // of the row
  int row;                                                   // the first

  // Rows of a warp lie in different banks when they are written.
  __device__ WholeKLane() {
    const int thread = static_cast<int>(threadIdx.x) % kWarpgroupSize;
    const int warp = thread / kWarpSize, place = thread % kWarpSize / kLanes;
    lane = thread % kLanes;
    row = kLanes == 16 ? warp + 4 * place : warp / 2 * 8 + warp % 2 * 2 + place % 2 * 4 + place / 2;
  }
  __device__ int row_of(int quad) const { return row + quad / kInRow * kRowDistance; }
  __device__ int column_of(int quad) const { return quad % kInRow * 32 + 4 * lane; }  // in a step
  // Where it goes among rows of a step in bf16.
  __device__ uint32_t offset_of(int quad) const {
    return swizzled_offset(row_of(quad), column_of(quad) / 8) + static_cast<uint32_t>(lane % 2 * 8);
  }
};

template <class Shape, bool kNorm>
class WholeKTile {
 public:
  __device__ WholeKTile(const LinearTileCall& call, int rows, WholeKMemory<Shape, kNorm>& memory)
      : call_(call),
        memory_(memory),
        num_steps_(num_steps_of(call)),
        warpgroup_(__shfl_sync(0xffffffffu, static_cast<int>(threadIdx.x) / kWarpgroupSize, 0)),
        columns_(call.swiglu ? Shape::kHalfColumns : Shape::kColumns),
        column_(static_cast<int>(blockIdx.x) * columns_),
        row_(static_cast<int>(blockIdx.y) * Shape::kRows),
        rows_(rows),
        inverse_width_(1.0f / static_cast<float>(call.linear.x.width)) {}

  __device__ bool is_there() const { return row_ < rows_; }

  // By one thread, before the block meets.
  __device__ void init_barriers() {
    for (int s = 0; s < num_steps_; ++s) memory_.full[s].init(1);
    publish_barriers();
  }
  // By one thread. It waits neither for the kernel ahead nor for the number of live rows.
  __device__ void bring_weight(const TensorMap& map) {
    for (int s = 0; s < num_steps_; ++s) {
      memory_.full[s].arrive_and_expect(sizeof(memory_.weight[s]));
      copy_tile(shared_address(memory_.weight[s]), map, s * kSwizzledRow, column_, 0, memory_.full[s]);
    }
    if (is_there()) return;
    for (int s = 0; s < num_steps_; ++s) memory_.full[s].wait(0);  // nobody else does before the block ends
  }

  // By the warpgroups.
  __device__ void run() {
    NormWeights norm_weights;
    if constexpr (kNorm) load_norm_weights(norm_weights);
    wait_for_previous_kernel();
    if (!is_there()) return;
    Addends addends;
    if (call_.adds_to_y) load_addends(addends);
#pragma unroll
    for (int q = 0; q < Shape::kSquares; ++q) {
#pragma unroll
      for (int i = 0; i < Shape::kSums; ++i) sums_[q][i] = 0.0f;
      keep_in_place(sums_[q]);
    }
#pragma unroll
    for (int i = 0; i < kLaneRows; ++i) squares_[i][0] = squares_[i][1] = 0.0f;
    constexpr int kGroupSteps = Shape::kWarpgroups * Shape::kGroup, kStride = kGroupSteps * Shape::kGroups;
    float4 x[Shape::kGroups][Shape::kGroup][Shape::kQuads];
#pragma unroll
    for (int g = 0; g < Shape::kGroups; ++g) load_group(warpgroup_ + kGroupSteps * g, x[g]);
    if constexpr (kNorm) {
      store_norm_weights(norm_weights);
      meet<Shape::kMultipliers>(kTogether);
    }
    // Both warpgroups meet equally often, though the second may have no step of a group: compute-sanitizer's
    // racecheck loses track of the block's meeting where one waits for it while the other meets alone.
    for (int first = 0; first < num_steps_; first += kStride) {
#pragma unroll
      for (int g = 0; g < Shape::kGroups; ++g) {
        if (first + kGroupSteps * g >= num_steps_) break;
        const int step = first + kGroupSteps * g + warpgroup_;
        store_group(step, g, x[g]);
        if (Shape::kReuses) load_group(step + kStride, x[g]);
        // Beyond this meeting all have read the next group's place.
        if (Shape::kReuses) wait_for_product_batches<0>();
        meet<kWarpgroupSize>(kAlone + warpgroup_);
        multiply_group(step, g);
      }
    }
#pragma unroll
    for (int q = 0; q < Shape::kSquares; ++q) wait_for_products<0>(sums_[q]);
    meet<Shape::kMultipliers>(kTogether);  // sums lie where the weight is
    leave_sums();
    meet<Shape::kMultipliers>(kTogether);
    finish(addends);
  }

 private:
  static constexpr int kTogether = 1;  // numbers of meetings: of both warpgroups, and two of one
  static constexpr int kAlone = 2;
  static constexpr int kPieces = Shape::kColumns / 4;  // of four columns, in a row
  static constexpr int kMostPieces = Shape::kRows * kPieces / Shape::kMultipliers;  // of a thread
  static constexpr int kHeldPieces = kMostPieces == 0 ? 1 : kMostPieces;
  static constexpr int kLaneRows = Shape::kQuads / WholeKLane<Shape>::kInRow;
  using Addends = float4[kHeldPieces];
  static constexpr int kNormValues = Shape::kSteps * kStepValues;
  static constexpr int kOwnNormWeights = (kNormValues + Shape::kMultipliers - 1) / Shape::kMultipliers;
  using NormWeights = uint32_t[kOwnNormWeights];

  // As they lie in memory: they arrive while the kernel ahead is waited for.
  __device__ void load_norm_weights(NormWeights& weights) const {
#pragma unroll
    for (int i = 0; i < kOwnNormWeights; ++i) {
      const int at = static_cast<int>(threadIdx.x) + i * Shape::kMultipliers;
      weights[i] = 0;
      if (at >= call_.linear.x.width) continue;
      weights[i] = call_.norm_dtype == DType::kF32 ? static_cast<const uint32_t*>(call_.norm_weight)[at]
                                                   : static_cast<const uint16_t*>(call_.norm_weight)[at];
    }
  }
  __device__ void store_norm_weights(const NormWeights& weights) {
#pragma unroll
    for (int i = 0; i < kOwnNormWeights; ++i) {
      const int at = static_cast<int>(threadIdx.x) + i * Shape::kMultipliers;
      if (at < kNormValues) memory_.norm_weights[at] = bias_value(&weights[i], call_.norm_dtype, 0);
    }
  }

  __device__ float4* y_at(int row, int column) const {
    float* y = static_cast<float*>(call_.linear.y.data) + (row_ + row) * call_.linear.y.outer_stride;
    return reinterpret_cast<float4*>(y + column_ + column);
  }
  // Calls `use` for each of the thread's pieces of y: with number, row, first column, and whether it is
  // there.
  template <class Use>
  __device__ void for_pieces(Use use) const {
#pragma unroll
    for (int i = 0; i < kHeldPieces; ++i) {
      const int at = static_cast<int>(threadIdx.x) + i * Shape::kMultipliers;
      const int row = call_.swiglu ? at / (kPieces / 2) : at / kPieces;
      const int column = (call_.swiglu ? at % (kPieces / 2) : at % kPieces) * 4;
      if (row >= Shape::kRows) break;
      use(i, row, column, row_ + row < rows_ && column_ + column < call_.linear.y.width);
    }
  }
  __device__ void load_addends(Addends& addends) const {
    for_pieces([&](int i, int row, int column, bool is_there) {
      if (is_there) addends[i] = *y_at(row, column);
    });
  }

  // Of the steps from `first` on, zeros where there are none.
  __device__ void load_group(int first, float4 (&x)[Shape::kGroup][Shape::kQuads]) const {
#pragma unroll
    for (int s = 0; s < Shape::kGroup; ++s) {
#pragma unroll
      for (int j = 0; j < Shape::kQuads; ++j) {
        const int row = row_ + lane_.row_of(j);
        const int column = (first + Shape::kWarpgroups * s) * kStepValues + lane_.column_of(j);
        const float* from =
            static_cast<const float*>(call_.linear.x.data) + row * call_.linear.x.outer_stride;
        x[s][j] = row < rows_ && column < call_.linear.x.width
                      ? *reinterpret_cast<const float4*>(from + column)
                      : make_float4(0, 0, 0, 0);
      }
    }
  }

  __device__ void store_group(int first, int group, const float4 (&x)[Shape::kGroup][Shape::kQuads]) {
#pragma unroll
    for (int s = 0; s < Shape::kGroup; ++s) {
      const int step = first + Shape::kWarpgroups * s;
      uint8_t* to = &memory_.x[warpgroup_][group][s][0][0];
      if (step >= num_steps_) break;
#pragma unroll
      for (int j = 0; j < Shape::kQuads; ++j)
        *reinterpret_cast<uint2*>(to + lane_.offset_of(j)) = left_factor(step, j, x[s][j]);
    }
    publish_to_matrix_units();
  }
  // Four values as bf16, of quad number `quad`.
  __device__ uint2 left_factor(int step, int quad, float4 value) {
    if constexpr (kNorm) {
      const float4 norm =
          *reinterpret_cast<const float4*>(&memory_.norm_weights[step * kStepValues + lane_.column_of(quad)]);
      float(&squares)[2] = squares_[quad / WholeKLane<Shape>::kInRow];
      squares[0] = fmaf(value.y, value.y, fmaf(value.x, value.x, squares[0]));
      squares[1] = fmaf(value.w, value.w, fmaf(value.z, value.z, squares[1]));
      value = make_float4(__fmul_rn(value.x, norm.x), __fmul_rn(value.y, norm.y), __fmul_rn(value.z, norm.z),
                          __fmul_rn(value.w, norm.w));
    }
    return make_uint2(bf16_pair(value.x, value.y), bf16_pair(value.z, value.w));
  }

  __device__ void multiply_group(int first, int group) {
    constexpr uint64_t kNextSquare = kWarpgroupRows * kSwizzledRow >> 4;
#pragma unroll
    for (int s = 0; s < Shape::kGroup; ++s) {
      const int step = first + Shape::kWarpgroups * s;
      if (step >= num_steps_) break;
      memory_.full[step].wait(0);
      const uint64_t left = swizzled_rows(shared_address(memory_.weight[step]));
      const uint64_t right = swizzled_rows(shared_address(memory_.x[warpgroup_][group][s]));
      begin_products();
#pragma unroll
      for (int i = 0; i < kStepValues / 16; ++i) {
#pragma unroll
        for (int q = 0; q < Shape::kSquares; ++q)
          Bf16SharedProduct<Shape::kRows>::add(sums_[q], left + q * kNextSquare + 2 * i, right + 2 * i);
      }
      end_products();
    }
  }

  // Of the warpgroup's steps of the lane's row number `row`, in the order of multiply_bf16_tiles: the lane's
  // pairs of 32 neighbouring values are added up over eights, then over the pairs of an eight.
  __device__ float sum_of_squares(int row) const {
    static_assert(!kNorm || WholeKLane<Shape>::kLanes == 8, "a lane has every fourth eight of a row");
    float sums[2] = {squares_[row][0], squares_[row][1]};
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      sums[i] += __shfl_xor_sync(0xffffffffu, sums[i], 2);
      sums[i] += __shfl_xor_sync(0xffffffffu, sums[i], 4);
    }
    const float sum = sums[0] + sums[1];
    return sum + __shfl_xor_sync(0xffffffffu, sum, 1);
  }

  __device__ void leave_sums() {
    const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
    const int warp = static_cast<int>(threadIdx.x) % kWarpgroupSize / kWarpSize;
#pragma unroll
    for (int q = 0; q < Shape::kSquares; ++q) {
#pragma unroll
      for (int i = 0; i < Shape::kSums; ++i) {
        const int column = q * kWarpgroupRows + warp * 16 + lane / 4 + i / 2 % 2 * 8;
        memory_.sums[warpgroup_][i / 4 * 8 + lane % 4 * 2 + i % 2][column] = sums_[q][i];
      }
    }
    if constexpr (kNorm) {
#pragma unroll
      for (int r = 0; r < kLaneRows; ++r)
        memory_.squares[warpgroup_][lane_.row_of(r * WholeKLane<Shape>::kInRow)] = sum_of_squares(r);
    }
  }

  __device__ void finish(const Addends& addends) const {
    for_pieces([&](int i, int row, int column, bool is_there) {
      const int weight_row = is_there ? column_ + column : 0;
      const float factor =
          kNorm ? norm_factor(memory_.squares[0][row] + memory_.squares[1][row], inverse_width_, call_.eps)
                : 1.0f;
      float4 value = finish_sums(call_, sums_at(row, column), factor, weight_row);
      if (call_.swiglu) {
        const float4 up = finish_sums(call_, sums_at(row, Shape::kHalfColumns + column), factor,
                                      call_.linear.y.width + weight_row);
        value = swiglu_of(value, up);
      }
      if (!is_there) return;
      if (call_.adds_to_y) value = sum_of(addends[i], value);
      *y_at(row, column) = value;
    });
  }
  // Of both warpgroups, of four columns.
  __device__ float4 sums_at(int row, int column) const {
    return sum_of(*reinterpret_cast<const float4*>(&memory_.sums[0][row][column]),
                  *reinterpret_cast<const float4*>(&memory_.sums[1][row][column]));
  }

  const LinearTileCall& call_;
  WholeKMemory<Shape, kNorm>& memory_;
  const WholeKLane<Shape> lane_;
  const int num_steps_;
  const int warpgroup_;
  const int columns_;  // of y
  const int column_;   // the first, of y
  const int row_;      // the first
  const int rows_;     // live ones
  const float inverse_width_;
  float sums_[Shape::kSquares][Shape::kSums];
  float squares_[kLaneRows][2];
};

template <class Shape, bool kNorm>
__global__ void __launch_bounds__(Shape::kThreads, Shape::kBlocks)
    multiply_whole_k(const __grid_constant__ TensorMap weight, const __grid_constant__ LinearTileCall call) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  static_assert(sizeof(WholeKMemory<Shape, kNorm>) <= kMostSharedBytes, "a block would not start");
  extern __shared__ __align__(1024) uint8_t shared_bytes[];
  auto& memory = *reinterpret_cast<WholeKMemory<Shape, kNorm>*>(shared_bytes);
  const int rows = static_cast<int>(live_count(call.linear.live_rows, call.linear.x.outer));
  WholeKTile<Shape, kNorm> tile(call, rows, memory);
  if (threadIdx.x == Shape::kMultipliers) {
    prefetch_map(weight);
    tile.init_barriers();
  }
  __syncthreads();
  if (threadIdx.x < Shape::kMultipliers) {
    tile.run();
  } else if (threadIdx.x == Shape::kMultipliers) {
    tile.bring_weight(weight);
  }
#endif
}

// REQUIRES: k has at most Shape::kSteps steps. False: the driver cannot map the weight.
template <class Shape, bool kNorm>
bool launch_whole_k(const LinearTileCall& call, gpuStream_t stream) {
  TensorMap weight;
  const unsigned planes = call.swiglu ? 2 : 1;
  if (!map_byte_rows(weight, weight_bytes_of(call), planes, Shape::kColumns / planes)) return false;
  launch_kernel_with_shared(multiply_whole_k<Shape, kNorm>, Shape::grid(call), dim3(Shape::kThreads),
                            sizeof(WholeKMemory<Shape, kNorm>), stream, weight, call);
  return true;
}

}  // namespace musaic
