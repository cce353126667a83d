#pragma once

#include <algorithm>

#include "gpu_launch.cuh"
#include "ops/linear/tiles_sm90.cuh"

// Products of FP8 rows and FP8 weights in blocks of 128 × 128, by Hopper's matrix units. A sum over k is made
// group by group of 128: a product of the matrix unit, then `sum += product · scales` in float32. Every shape
// of tile does so in the same order, so that a row's bits do not depend on the other rows.
//
// A block is a warpgroup that copies, group after group of tile after tile, into a ring of stages, and two
// that multiply. Blocks stay for all their tiles. Rows come by copies of 16 bytes, since they may lie
// anywhere, weights by copies of whole tiles.
namespace musaic {

// Rows [start, start + count) of expert e are e's; without `start` there is one expert of all live rows.
struct Fp8Tiles {
  const uint8_t* q;           // [.., 128 · groups]
  const float* scale;         // [.., groups]
  const int32_t* row_token;   // the row of q of a row of y; null: the same
  const int32_t* start;       // [num_experts]
  const int32_t* count;       // [num_experts]
  const int32_t* live_rows;   // where there is no `start`; null: all
  const float* weight_scale;  // [num_experts, parts · part_blocks, groups]
  const void* bias;           // [parts · part_columns]; null: none
  float* y;                   // [rows, parts · part_columns]
  int64_t rows;
  DType bias_dtype;
  int num_experts;
  int parts;
  int part_columns;  // a multiple of 4
  int groups;
};

// The largest number of experts whose rows a block keeps in mind.
inline constexpr int kMaxTileExperts = 256;

// A block's tile in tiles of 64 rows and kColumns columns: one of the two multiplying warpgroups has each.
template <int kRowTiles_, int kColumnTiles_, int kColumns_, int kStages_>
struct Fp8TileShape {
  static constexpr int kRowTiles = kRowTiles_;
  static constexpr int kColumnTiles = kColumnTiles_;
  static constexpr int kColumns = kColumns_;
  static constexpr int kStages = kStages_;
  static constexpr int kRows = kWarpgroupRows * kRowTiles;
  static constexpr int kConsumers = kRowTiles * kColumnTiles;
  static constexpr int kThreads = kWarpgroupSize * (1 + kConsumers);
  // A thread's, of the 65,536 of a multiprocessor.
  static constexpr int kProducerRegisters = 40;
  static constexpr int kConsumerRegisters = 232;

  static_assert(kColumns == 128 || kColumns == 64 || kColumns == 32,
                "a tile lies in one block of the weight");
};

template <class Shape>
struct Fp8Stage {
  uint8_t q[Shape::kRows][kSwizzledRow];
  uint8_t weight[Shape::kColumnTiles][Shape::kColumns][kSwizzledRow];
};

// Dynamic shared memory, at a multiple of 1024.
template <class Shape>
struct Fp8TileMemory {
  Fp8Stage<Shape> stages[Shape::kStages];
  float scales[Shape::kStages][Shape::kRows + Shape::kColumnTiles];  // of the rows, of the column tiles
  Barrier full[Shape::kStages];
  Barrier empty[Shape::kStages];
  int first_tile[kMaxTileExperts + 1];  // in tiles of rows
  int start[kMaxTileExperts];
  int count[kMaxTileExperts];
};

struct Fp8Tile {
  int expert;
  int first_row;     // in y
  int rows;          // of the expert from there on
  int first_column;  // in tiles of columns
};

// Where a tile of columns begins, and how many columns it has; none behind the last.
template <class Shape>
struct Fp8Columns {
  int first;
  int count;
  int scale_row;  // in the expert's weight scales

  static __host__ __device__ int tiles_a_part(const Fp8Tiles& call) {
    return (call.part_columns + Shape::kColumns - 1) / Shape::kColumns;
  }
  static __device__ Fp8Columns of(const Fp8Tiles& call, int index) {
    const int tiles = tiles_a_part(call), part = index / tiles;
    if (part >= call.parts) return {0, 0, 0};
    const int column = (index - part * tiles) * Shape::kColumns, left = call.part_columns - column;
    return {part * call.part_columns + column, left < Shape::kColumns ? left : Shape::kColumns,
            part * ((call.part_columns + 127) / 128) + column / 128};
  }
};

// The block's tiles: expert by expert, the tiles of rows that meet one tile of columns side by side, so that
// the blocks at work share weights. Blocks change places from round to round: those with the expert's last
// rows are done sooner, and would run ahead of the others that read the same weight.
template <class Shape>
class Fp8TileWalk {
 public:
  __device__ Fp8TileWalk(const Fp8Tiles& call, const Fp8TileMemory<Shape>& memory)
      : memory_(memory),
        num_experts_(call.num_experts),
        column_tiles_((Fp8Columns<Shape>::tiles_a_part(call) * call.parts + Shape::kColumnTiles - 1) /
                      Shape::kColumnTiles),
        place_(static_cast<int>(blockIdx.x)) {}

  __device__ bool next(Fp8Tile& tile) {
    const int index = first_of_round_ + place_;
    const int num_blocks = static_cast<int>(gridDim.x);
    first_of_round_ += num_blocks;
    if (++place_ == num_blocks) place_ = 0;
    while (expert_ < num_experts_ && index >= memory_.first_tile[expert_ + 1] * column_tiles_) ++expert_;
    if (expert_ == num_experts_) return false;
    const int first = memory_.first_tile[expert_], row_tiles = memory_.first_tile[expert_ + 1] - first;
    const int local = index - first * column_tiles_, column = local / row_tiles;
    const int row = (local - column * row_tiles) * Shape::kRows;
    tile = {expert_, memory_.start[expert_] + row, memory_.count[expert_] - row,
            column * Shape::kColumnTiles};
    return true;
  }

 private:
  const Fp8TileMemory<Shape>& memory_;
  const int num_experts_;
  const int column_tiles_;
  int place_;
  int first_of_round_ = 0;
  int expert_ = 0;
};

// By the first warp.
template <class Shape>
__device__ void find_expert_rows(const Fp8Tiles& call, Fp8TileMemory<Shape>& memory) {
  const int lane = static_cast<int>(threadIdx.x);
  int before = 0;
  for (int first = 0; first < call.num_experts; first += kWarpSize) {
    const int expert = first + lane;
    int start = 0, count = 0;
    if (expert < call.num_experts) {
      start = call.start == nullptr ? 0 : call.start[expert];
      count = call.start == nullptr ? static_cast<int>(live_count(call.live_rows, call.rows))
                                    : call.count[expert];
    }
    int sum = (count + Shape::kRows - 1) / Shape::kRows;
    for (int distance = 1; distance < kWarpSize; distance *= 2) {
      const int other = __shfl_up_sync(0xffffffffu, sum, distance);
      if (lane >= distance) sum += other;
    }
    if (expert < call.num_experts) {
      memory.start[expert] = start;
      memory.count[expert] = count;
      memory.first_tile[expert + 1] = before + sum;
    }
    before += __shfl_sync(0xffffffffu, sum, kWarpSize - 1);
  }
  if (lane == 0) memory.first_tile[0] = 0;
}

// The warpgroup that copies. Eight threads bring the 128 bytes of a row's group.
template <class Shape>
class Fp8Producer {
 public:
  static constexpr int kArrivals = kWarpgroupSize + 1;  // its threads, and the announced bytes

  __device__ Fp8Producer(const Fp8Tiles& call, const TensorMap& weight, Fp8TileMemory<Shape>& memory)
      : call_(call),
        weight_(weight),
        memory_(memory),
        thread_(static_cast<int>(threadIdx.x) % kWarpgroupSize),
        scale_rows_(call.parts * ((call.part_columns + 127) / 128)) {}

  __device__ void run() {
    Fp8TileWalk<Shape> walk(call_, memory_);
    for (Fp8Tile tile; walk.next(tile);) copy(tile);
    // Nobody may leave before what it has copied is there.
    for (int s = 0; s < Shape::kStages; ++s) {
      memory_.empty[write_.stage].wait(write_.parity ^ 1);
      write_.advance();
    }
  }

 private:
  static constexpr int kPieces = kSwizzledRow / 16;
  static constexpr int kRowStep = kWarpgroupSize / kPieces;
  static constexpr int kMyRows = Shape::kRows / kRowStep;
  static constexpr int kMyScales = (Shape::kRows + kWarpgroupSize - 1) / kWarpgroupSize;

  __device__ int64_t source_row(const Fp8Tile& tile, int row) const {
    return call_.row_token == nullptr ? tile.first_row + row : call_.row_token[tile.first_row + row];
  }

  __device__ void copy(const Fp8Tile& tile) {
    const int first = thread_ / kPieces, piece = thread_ % kPieces;
    const uint8_t* q[kMyRows];
#pragma unroll
    for (int i = 0; i < kMyRows; ++i) {
      const int row = first + i * kRowStep;
      q[i] = row < tile.rows ? call_.q + source_row(tile, row) * call_.groups * kSwizzledRow + piece * 16
                             : nullptr;
    }
    const float* scale[kMyScales];
#pragma unroll
    for (int i = 0; i < kMyScales; ++i) {
      const int row = thread_ + i * kWarpgroupSize;
      scale[i] = row < tile.rows ? call_.scale + source_row(tile, row) * call_.groups : nullptr;
    }
    Fp8Columns<Shape> columns[Shape::kColumnTiles];
#pragma unroll
    for (int c = 0; c < Shape::kColumnTiles; ++c)
      columns[c] = Fp8Columns<Shape>::of(call_, tile.first_column + c);
    for (int group = 0; group < call_.groups; ++group) {
      memory_.empty[write_.stage].wait(write_.parity ^ 1);
      if (thread_ == 0) copy_weight(columns, tile.expert, group);
      copy_scales(columns, tile.expert, group, scale);
      const uint32_t to = shared_address(&memory_.stages[write_.stage].q) + swizzled_offset(first, piece);
#pragma unroll
      for (int i = 0; i < kMyRows; ++i) {
        const bool is_there = q[i] != nullptr;
        copy_16_bytes(to + i * kRowStep * kSwizzledRow, is_there ? q[i] + group * kSwizzledRow : call_.q,
                      is_there);
      }
      arrive_after_copies(memory_.full[write_.stage]);
      write_.advance();
    }
  }

  __device__ void copy_weight(const Fp8Columns<Shape> (&columns)[Shape::kColumnTiles], int expert,
                              int group) {
    Barrier& full = memory_.full[write_.stage];
    int num_tiles = 0;
#pragma unroll
    for (int c = 0; c < Shape::kColumnTiles; ++c) num_tiles += columns[c].count > 0;
    full.arrive_and_expect(num_tiles * Shape::kColumns * kSwizzledRow);
#pragma unroll
    for (int c = 0; c < Shape::kColumnTiles; ++c) {
      if (columns[c].count > 0)
        copy_tile(shared_address(&memory_.stages[write_.stage].weight[c]), weight_, group * kSwizzledRow,
                  columns[c].first, expert, full);
    }
  }

  // `scale` is of the rows that the thread brings, if any.
  __device__ void copy_scales(const Fp8Columns<Shape> (&columns)[Shape::kColumnTiles], int expert, int group,
                              const float* const (&scale)[kMyScales]) {
    float* to = memory_.scales[write_.stage];
#pragma unroll
    for (int i = 0; i < kMyScales; ++i) {
      const int row = thread_ + i * kWarpgroupSize;
      if (row < Shape::kRows)
        copy_4_bytes(shared_address(to + row), scale[i] != nullptr ? scale[i] + group : call_.scale,
                     scale[i] != nullptr);
    }
#pragma unroll
    for (int c = 0; c < Shape::kColumnTiles; ++c) {
      if (thread_ != kWarpgroupSize - 1 - c) continue;
      const int64_t block = static_cast<int64_t>(expert) * scale_rows_ + columns[c].scale_row;
      copy_4_bytes(shared_address(to + Shape::kRows + c), call_.weight_scale + block * call_.groups + group,
                   columns[c].count > 0);
    }
  }

  const Fp8Tiles& call_;
  const TensorMap& weight_;
  Fp8TileMemory<Shape>& memory_;
  const int thread_;
  const int scale_rows_;  // of one expert
  RingPlace<Shape::kStages> write_;
};

// A warpgroup that multiplies.
template <class Shape>
class Fp8Consumer {
 public:
  static constexpr int kArrivals = kWarpgroupSize / kWarpSize * Shape::kConsumers;

  // `index` is the warpgroup's among those that multiply.
  __device__ Fp8Consumer(const Fp8Tiles& call, Fp8TileMemory<Shape>& memory, int index)
      : call_(call),
        memory_(memory),
        row_tile_(index % Shape::kRowTiles),
        column_tile_(index / Shape::kRowTiles),
        row_(row_tile_ * kWarpgroupRows + first_row_of_thread()) {}

  __device__ void run() {
    Fp8TileWalk<Shape> walk(call_, memory_);
    for (Fp8Tile tile; walk.next(tile);) {
      const auto columns = Fp8Columns<Shape>::of(call_, tile.first_column + column_tile_);
      if (columns.count == 0 || row_tile_ * kWarpgroupRows >= tile.rows) {
        for (int group = 0; group < call_.groups; ++group) skip_group();
        continue;
      }
      float sum[kSums] = {};
      add_groups(sum);
      write(tile, columns, sum);
    }
  }

 private:
  static constexpr int kSums = Shape::kColumns / 2;
  static constexpr int kProducts = kSwizzledRow / 32;

  // A group's product on its way, and the scales of the thread's rows.
  struct Group {
    float product[kSums];
    float upper;
    float lower;
  };

  // While one group is scaled and added, the next one is multiplied.
  __device__ void add_groups(float (&sum)[kSums]) {
    Group even, odd;
    start(even);
    for (int left = call_.groups - 1;; left -= 2) {
      if (left == 0) return finish<0>(even, sum);
      start(odd);
      finish<1>(even, sum);
      if (left == 1) return finish<0>(odd, sum);
      start(even);
      finish<1>(odd, sum);
    }
  }

  __device__ void start(Group& group) {
    memory_.full[read_.stage].wait(read_.parity);
    publish_to_matrix_units();
    const float* scales = memory_.scales[read_.stage];
    const float block = scales[Shape::kRows + column_tile_];
    group.upper = scales[row_] * block;
    group.lower = scales[row_ + 8] * block;
    const Fp8Stage<Shape>& stage = memory_.stages[read_.stage];
    const uint64_t left = swizzled_rows(shared_address(&stage.q[row_tile_ * kWarpgroupRows]));
    const uint64_t right = swizzled_rows(shared_address(&stage.weight[column_tile_]));
    begin_products();
#pragma unroll
    for (int i = 0; i < kProducts; ++i)
      Fp8Product<Shape::kColumns>::add(group.product, left + 2 * i, right + 2 * i, i > 0);
    end_products();
    read_.advance();
  }

  // The oldest group that was started; kUnderWay others were.
  template <int kUnderWay>
  __device__ void finish(Group& group, float (&sum)[kSums]) {
    wait_for_products<kUnderWay>(group.product);
    release();
#pragma unroll
    for (int i = 0; i < kSums; i += 4) {
      sum[i] = fmaf(group.product[i], group.upper, sum[i]);
      sum[i + 1] = fmaf(group.product[i + 1], group.upper, sum[i + 1]);
      sum[i + 2] = fmaf(group.product[i + 2], group.lower, sum[i + 2]);
      sum[i + 3] = fmaf(group.product[i + 3], group.lower, sum[i + 3]);
    }
  }

  __device__ void skip_group() {
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

  __device__ void write(const Fp8Tile& tile, const Fp8Columns<Shape>& columns,
                        const float (&sum)[kSums]) const {
    const int64_t width = static_cast<int64_t>(call_.parts) * call_.part_columns;
    const int first_row = row_tile_ * kWarpgroupRows;
    const TileOutput output = {call_.y + (int64_t{tile.first_row} + first_row) * width + columns.first,
                               width,
                               tile.rows - first_row,
                               columns.count,
                               call_.bias,
                               call_.bias_dtype,
                               columns.first};
    output.write(sum);
  }

  const Fp8Tiles& call_;
  Fp8TileMemory<Shape>& memory_;
  const int row_tile_;
  const int column_tile_;
  const int row_;  // in the block's tile: of a thread's upper values
  RingPlace<Shape::kStages> read_;
  RingPlace<Shape::kStages> done_;  // at most one stage behind
};

template <class Shape>
__global__ void __launch_bounds__(Shape::kThreads, 1)
    multiply_fp8_tiles(const __grid_constant__ TensorMap weight, const __grid_constant__ Fp8Tiles call) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  extern __shared__ __align__(1024) uint8_t shared_bytes[];
  auto& memory = *reinterpret_cast<Fp8TileMemory<Shape>*>(shared_bytes);
  if (threadIdx.x == 0) {
    prefetch_map(weight);
    for (int s = 0; s < Shape::kStages; ++s) {
      memory.full[s].init(Fp8Producer<Shape>::kArrivals);
      memory.empty[s].init(Fp8Consumer<Shape>::kArrivals);
    }
    publish_barriers();
  }
  wait_for_previous_kernel();
  if (threadIdx.x < kWarpSize) find_expert_rows(call, memory);
  __syncthreads();
  const int warpgroup = __shfl_sync(0xffffffffu, static_cast<int>(threadIdx.x) / kWarpgroupSize, 0);
  if (warpgroup == 0) {
    shrink_registers<Shape::kProducerRegisters>();
    Fp8Producer<Shape>(call, weight, memory).run();
  } else {
    grow_registers<Shape::kConsumerRegisters>();
    Fp8Consumer<Shape>(call, memory, warpgroup - 1).run();
  }
#endif
}

// How many tiles a block would make if the device's blocks shared them.
template <class Shape>
int64_t tiles_a_block(const Fp8Tiles& call, int64_t row_tiles) {
  const int64_t columns = Fp8Columns<Shape>::tiles_a_part(call) * call.parts;
  const int64_t tiles = row_tiles * ((columns + Shape::kColumnTiles - 1) / Shape::kColumnTiles);
  const int64_t blocks = num_multiprocessors();
  return (tiles + blocks - 1) / blocks;
}

// At most `row_tiles` tiles of rows are not empty. False: the driver cannot map the weight.
template <class Shape>
bool launch_fp8_tiles(const Fp8Tiles& call, const uint8_t* weight, int64_t row_tiles, gpuStream_t stream) {
  TensorMap map;
  const int64_t n = static_cast<int64_t>(call.parts) * call.part_columns;
  if (!map_byte_rows(map, weight, call.num_experts, n, int64_t{call.groups} * kSwizzledRow, Shape::kColumns))
    return false;
  const int64_t columns = Fp8Columns<Shape>::tiles_a_part(call) * call.parts;
  const int64_t tiles = row_tiles * ((columns + Shape::kColumnTiles - 1) / Shape::kColumnTiles);
  const auto blocks = static_cast<unsigned>(std::min<int64_t>(tiles, num_multiprocessors()));
  launch_kernel_with_shared(multiply_fp8_tiles<Shape>, dim3(blocks), dim3(Shape::kThreads),
                            sizeof(Fp8TileMemory<Shape>), stream, map, call);
  return true;
}

}  // namespace musaic
