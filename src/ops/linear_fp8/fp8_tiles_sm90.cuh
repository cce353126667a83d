#pragma once

#include <algorithm>

#include "gpu_launch.cuh"
#include "ops/linear_fp8/fp8_broad_consumer_sm90.cuh"
#include "ops/linear_fp8/fp8_tile_walk_sm90.cuh"
#include "ops/linear_fp8/fp8_wide_consumer_sm90.cuh"

// Products of FP8 rows and FP8 weights in blocks of 128 × 128, by Hopper's matrix units. A sum over k is made
// group by group of 128: a product of the matrix unit, then `sum += product · scales` in float32. Every shape
// of tile does so in the same order, so that a row's bits do not depend on the other rows.
//
// A block is a warpgroup that copies, group after group of tile after tile, into a ring of stages, and two
// that multiply. Blocks stay for all their tiles, of one product or of several that do not need each other.
// Rows come by copies of 16 bytes where they may lie anywhere, weights by copies of whole tiles. Rows of a
// tile that are not there are whatever lies there: nothing but their own sums comes of them.
namespace musaic {

// Announces further bytes at a barrier whose phase an arrival of the thread is still to end.
__device__ inline void expect_bytes(Barrier& barrier, uint32_t bytes) {
  asm volatile("mbarrier.expect_tx.relaxed.cta.shared::cta.b64 [%0], %1;" ::"r"(shared_address(&barrier)),
               "r"(bytes)
               : "memory");
}

// By the first warp of a block: its share of the first product's weight.
template <int kProducts>
__device__ void prefetch_first_weight(const Fp8Work<kProducts>& work) {
  constexpr int64_t kPiece = 4 << 10;
  const int64_t step = int64_t{gridDim.x} * kWarpSize * kPiece;
  int64_t first = (int64_t{blockIdx.x} * kWarpSize + threadIdx.x) * kPiece;
  for (; first < work.first_weight_bytes; first += step) {
    const int64_t left = work.first_weight_bytes - first;
    prefetch_bytes(work.first_weight + first, static_cast<uint32_t>(left < kPiece ? left : kPiece));
  }
}

// The warpgroup that copies. Eight threads bring the 128 bytes of a row's group.
template <class Shape, int kProducts>
class Fp8Producer {
  static constexpr int kThreads = Shape::kCopyingThreads;

 public:
  static constexpr int kArrivals = kThreads + 1;  // its threads, and those that announce a weight's bytes

  __device__ Fp8Producer(const Fp8Work<kProducts>& work, Fp8TileMemory<Shape>& memory)
      : work_(work), memory_(memory), thread_(static_cast<int>(threadIdx.x) % kWarpgroupSize) {}

  // The weights of the first stages, which are empty.
  __device__ void start_weights() {
    Fp8TileWalk<Shape, kProducts> walk(work_, memory_);
    Fp8Tile tile;
    if (!walk.next(tile)) return;
    const Fp8Tiles& call = work_.product[tile.product];
    num_started_ = call.groups < Shape::kStages ? call.groups : Shape::kStages;
    const Columns columns = columns_of(call, tile);
    for (int group = 0; thread_ == 0 && group < num_started_; ++group)
      copy_weight(columns, tile, group, group);
  }

  __device__ void run() {
    if (thread_ >= kThreads) return;
    Fp8TileWalk<Shape, kProducts> walk(work_, memory_);
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
  static constexpr int kMyRows = Shape::kRowTileCopies ? 0 : Shape::kRows / kRowStep;
  static constexpr int kMyScales = Shape::kScalesFromMemory ? 0 : (Shape::kRows + kThreads - 1) / kThreads;

  struct Columns {
    Fp8Columns<Shape> tile[Shape::kColumnTiles];
  };
  static __device__ Columns columns_of(const Fp8Tiles& call, const Fp8Tile& tile) {
    Columns columns;
#pragma unroll
    for (int c = 0; c < Shape::kColumnTiles; ++c)
      columns.tile[c] = Fp8Columns<Shape>::of(call, tile.first_column + c);
    return columns;
  }
  static __device__ int64_t source_row(const Fp8Tiles& call, const Fp8Tile& tile, int row) {
    return call.row_token == nullptr ? tile.first_row + row : call.row_token[tile.first_row + row];
  }

  __device__ void copy(const Fp8Tile& tile) {
    const Fp8Tiles& call = work_.product[kProducts == 1 ? 0 : tile.product];
    const int first = thread_ / kPieces, piece = thread_ % kPieces, groups = call.groups;
    const uint8_t* q[kMyRows + 1];
#pragma unroll
    for (int i = 0; i < kMyRows; ++i) {
      const int row = first + i * kRowStep;
      q[i] = row < tile.rows ? call.q + source_row(call, tile, row) * groups * kSwizzledRow + piece * 16
                             : nullptr;
    }
    const float* scale[kMyScales + 1];
#pragma unroll
    for (int i = 0; i < kMyScales; ++i) {
      const int row = thread_ + i * kThreads;
      scale[i] =
          row < Shape::kRows && row < tile.rows ? call.scale + source_row(call, tile, row) * groups : nullptr;
    }
    const Columns columns = columns_of(call, tile);
    const float* block_scale = block_scales(call, columns, tile);
    for (int group = 0; group < groups; ++group) {
      memory_.empty[write_.stage].wait(write_.parity ^ 1);
      if (num_started_ > 0) {
        --num_started_;
      } else if (thread_ == 0) {
        copy_weight(columns, tile, group, write_.stage);
      }
      if (Shape::kRowTileCopies && thread_ == 0) copy_rows(tile, group, write_.stage);
      if constexpr (!Shape::kScalesFromMemory) copy_scales(scale, block_scale, group);
      const uint32_t to = shared_address(&memory_.stages[write_.stage].q) + swizzled_offset(first, piece);
#pragma unroll
      for (int i = 0; i < kMyRows; ++i) {
        if (q[i] != nullptr)
          copy_16_bytes(to + i * kRowStep * kSwizzledRow, q[i] + group * kSwizzledRow, true);
      }
      if constexpr (Shape::kScalesFromMemory) {
        memory_.full[write_.stage].arrive();
      } else {
        arrive_after_copies(memory_.full[write_.stage]);
      }
      write_.advance();
    }
  }

  __device__ void copy_weight(const Columns& columns, const Fp8Tile& tile, int group, int stage) {
    const TensorMap& weight = work_.weight[kProducts == 1 ? 0 : tile.product];
    Barrier& full = memory_.full[stage];
    int num_tiles = 0;
#pragma unroll
    for (int c = 0; c < Shape::kColumnTiles; ++c) num_tiles += columns.tile[c].count > 0;
    full.arrive_and_expect(num_tiles * Shape::kColumns * kSwizzledRow);
#pragma unroll
    for (int c = 0; c < Shape::kColumnTiles; ++c) {
      if (columns.tile[c].count == 0) continue;
      const uint32_t to = shared_address(&memory_.stages[stage].weight[c]);
      if constexpr (Shape::kOnce) {
        copy_tile_once(to, weight, group * kSwizzledRow, columns.tile[c].first, tile.expert, full);
      } else {
        copy_tile(to, weight, group * kSwizzledRow, columns.tile[c].first, tile.expert, full);
      }
    }
  }

  __device__ void copy_rows(const Fp8Tile& tile, int group, int stage) {
    Barrier& full = memory_.full[stage];
    expect_bytes(full, Shape::kRows * kSwizzledRow);
    copy_tile(shared_address(&memory_.stages[stage].q), work_.rows[kProducts == 1 ? 0 : tile.product],
              group * kSwizzledRow, tile.first_row, 0, full);
  }

  // Of the weight tile that the thread brings the scales of, if any: its last threads, one a tile.
  __device__ const float* block_scales(const Fp8Tiles& call, const Columns& columns,
                                       const Fp8Tile& tile) const {
    const int scale_rows = call.parts * ((call.part_columns + 127) / 128);  // of one expert
#pragma unroll
    for (int c = 0; c < Shape::kColumnTiles; ++c) {
      if (thread_ != kThreads - 1 - c || columns.tile[c].count == 0) continue;
      const int64_t block = static_cast<int64_t>(tile.expert) * scale_rows + columns.tile[c].scale_row;
      return call.weight_scale + block * call.groups;
    }
    return nullptr;
  }

  // `scale` is of the rows that the thread brings, if any.
  __device__ void copy_scales(const float* const (&scale)[kMyScales + 1], const float* block_scale,
                              int group) {
    float* to = memory_.scales[write_.stage];
#pragma unroll
    for (int i = 0; i < kMyScales; ++i) {
      if (scale[i] != nullptr)
        copy_4_bytes(shared_address(to + thread_ + i * kThreads), scale[i] + group, true);
    }
    if (block_scale != nullptr)
      copy_4_bytes(shared_address(to + Shape::kRows + kThreads - 1 - thread_), block_scale + group, true);
  }

  const Fp8Work<kProducts>& work_;
  Fp8TileMemory<Shape>& memory_;
  const int thread_;
  int num_started_ = 0;  // stages whose weights are on their way already
  RingPlace<Shape::kStages> write_;
};

// A warpgroup that multiplies.
template <class Shape, int kProducts>
class Fp8Consumer {
 public:
  static constexpr int kArrivals = kWarpgroupSize / kWarpSize * Shape::kConsumers;

  // `index` is the warpgroup's among those that multiply.
  __device__ Fp8Consumer(const Fp8Work<kProducts>& work, Fp8TileMemory<Shape>& memory, int index)
      : work_(work),
        memory_(memory),
        row_tile_(index % Shape::kRowTiles),
        column_tile_(index / Shape::kRowTiles),
        row_(row_tile_ * kWarpgroupRows + first_row_of_thread()) {}

  __device__ void run() {
    Fp8TileWalk<Shape, kProducts> walk(work_, memory_);
    for (Fp8Tile tile; walk.next(tile);) {
      const Fp8Tiles& call = work_.product[kProducts == 1 ? 0 : tile.product];
      const auto columns = Fp8Columns<Shape>::of(call, tile.first_column + column_tile_);
      if (columns.count == 0 || row_tile_ * kWarpgroupRows >= tile.rows) {
        for (int group = 0; group < call.groups; ++group) skip_group();
        continue;
      }
      if constexpr (Shape::kScalesFromMemory) find_scales(call, tile, columns);
      float sum[kSums] = {};
      add_groups(call.groups, sum);
      if constexpr (Shape::kSwiglu) {
        SwigluWriter(memory_.exchange, column_tile_).write(call, tile, tile.first_column * 64, sum);
      } else {
        write(call, tile, columns, sum);
      }
    }
  }

 private:
  static constexpr int kSums = Shape::kColumns / 2;

  // A group's product on its way, and the scales of the thread's rows.
  struct Group {
    float product[kSums];
    float upper;
    float lower;
    float block;  // of the columns, with which those from memory are multiplied when the product is there
  };

  // Of rows that are not there those of the last one.
  __device__ void find_scales(const Fp8Tiles& call, const Fp8Tile& tile, const Fp8Columns<Shape>& columns) {
    const int last = tile.rows - 1;
    const int upper = row_ < last ? row_ : last, lower = row_ + 8 < last ? row_ + 8 : last;
    row_scales_ = call.scale + (int64_t{tile.first_row} + upper) * call.groups;
    lower_scales_ = (lower - upper) * call.groups;
    const int scale_rows = call.parts * ((call.part_columns + 127) / 128);  // of one expert
    block_scales_ = call.weight_scale + (int64_t{tile.expert} * scale_rows + columns.scale_row) * call.groups;
  }
  __device__ void load_scales(Group& group) {
    group.upper = *row_scales_;
    group.lower = row_scales_[lower_scales_];
    group.block = *block_scales_++;
    ++row_scales_;
  }

  // While one group is scaled and added, the next one is multiplied.
  __device__ void add_groups(int groups, float (&sum)[kSums]) {
    Group even, odd;
    start(even);
    for (int left = groups - 1;; left -= 2) {
      if (left == 0) return finish<0>(even, sum);
      start(odd);
      finish<1>(even, sum);
      if (left == 1) return finish<0>(odd, sum);
      start(even);
      finish<1>(odd, sum);
    }
  }

  __device__ void start(Group& group) {
    if constexpr (Shape::kScalesFromMemory) load_scales(group);
    memory_.full[read_.stage].wait(read_.parity);
    if constexpr (!Shape::kRowTileCopies) publish_to_matrix_units();
    if constexpr (!Shape::kScalesFromMemory) {
      const float* scales = memory_.scales[read_.stage];
      const float block = scales[Shape::kRows + column_tile_];
      group.upper = scales[row_] * block;
      group.lower = scales[row_ + 8] * block;
    }
    const Fp8Stage<Shape>& stage = memory_.stages[read_.stage];
    const uint64_t left = swizzled_rows(shared_address(&stage.q[row_tile_ * kWarpgroupRows]));
    const uint64_t right = swizzled_rows(shared_address(&stage.weight[column_tile_]));
    start_fp8_group<Shape::kColumns>(left, right, group.product);
    read_.advance();
  }

  // The oldest group that was started; kUnderWay others were.
  template <int kUnderWay>
  __device__ void finish(Group& group, float (&sum)[kSums]) {
    wait_for_products<kUnderWay>(group.product);
    release();
    if constexpr (Shape::kScalesFromMemory) {
      group.upper *= group.block;
      group.lower *= group.block;
    }
    add_scaled(group.product, group.upper, group.lower, sum);
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

  __device__ void write(const Fp8Tiles& call, const Fp8Tile& tile, const Fp8Columns<Shape>& columns,
                        const float (&sum)[kSums]) const {
    write_sums<kProducts != 1>(call, tile, columns, row_tile_ * kWarpgroupRows, sum);
  }

  const Fp8Work<kProducts>& work_;
  Fp8TileMemory<Shape>& memory_;
  const int row_tile_;
  const int column_tile_;
  const int row_;  // in the block's tile: of a thread's upper values
  RingPlace<Shape::kStages> read_;
  RingPlace<Shape::kStages> done_;  // at most one stage behind
  // From memory, of the next group.
  const float* row_scales_ = nullptr;
  const float* block_scales_ = nullptr;
  int lower_scales_ = 0;  // from the upper row's to the lower one's
};

template <class Shape, int kProducts>
__global__ void __launch_bounds__(Shape::kThreads, 1)
    multiply_fp8_tiles(const __grid_constant__ Fp8Work<kProducts> work) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  extern __shared__ __align__(1024) uint8_t shared_bytes[];
  auto& memory = *reinterpret_cast<Fp8TileMemory<Shape>*>(shared_bytes);
  using Producer = Fp8Producer<Shape, kProducts>;
  using Consumer = std::conditional_t<
      Shape::kWide, Fp8WideConsumer<Shape, kProducts>,
      std::conditional_t<Shape::kBroad, Fp8BroadConsumer<Shape, kProducts>, Fp8Consumer<Shape, kProducts>>>;
  if (threadIdx.x == 0) {
    for (int p = 0; p < kProducts; ++p) prefetch_map(work.weight[p]);
    for (int s = 0; s < Shape::kStages; ++s) {
      memory.full[s].init(Producer::kArrivals);
      memory.empty[s].init(Consumer::kArrivals);
    }
    publish_barriers();
  }
  if constexpr (Shape::kOnce) {
    if (!work.knows_rows && threadIdx.x < kWarpSize) prefetch_first_weight(work);
  }
  if (!work.knows_rows) wait_for_previous_kernel();
  find_expert_rows<Shape>(work, memory);
  __syncthreads();
  const int warpgroup = __shfl_sync(0xffffffffu, static_cast<int>(threadIdx.x) / kWarpgroupSize, 0);
  if (warpgroup == 0) {
    shrink_registers<Shape::kProducerRegisters>();
    Producer producer(work, memory);
    producer.start_weights();
    if (work.knows_rows) wait_for_previous_kernel();
    producer.run();
  } else {
    grow_registers<Shape::kConsumerRegisters>();
    if (work.knows_rows) wait_for_previous_kernel();
    Consumer(work, memory, warpgroup - 1).run();
  }
#endif
}

// How many tiles a block would make if the device's blocks shared them.
template <class Shape>
int64_t tiles_a_block(const Fp8Tiles& call, int64_t row_tiles) {
  const int64_t tiles = row_tiles * Fp8Columns<Shape>::block_tiles(call);
  const int64_t blocks = num_multiprocessors();
  return (tiles + blocks - 1) / blocks;
}

// A product, its weight [num_experts, parts · part_columns, 128 · groups], and how many of its tiles of rows
// are not empty, at most.
struct Fp8WeightedTiles {
  Fp8Tiles tiles;
  const uint8_t* weight;
  int64_t row_tiles;
};

// All but the last product have one expert. False: the driver cannot map a weight, nothing was launched.
template <class Shape, int kProducts>
bool launch_fp8_products(const Fp8WeightedTiles (&products)[kProducts], bool knows_rows, gpuStream_t stream) {
  const Fp8Tiles& first = products[0].tiles;
  Fp8Work<kProducts> work;
  work.knows_rows = knows_rows;
  work.first_weight = products[0].weight;
  work.first_weight_bytes = int64_t{first.parts} * first.part_columns * first.groups * kSwizzledRow;
  int64_t tiles = 0;
  for (int p = 0; p < kProducts; ++p) {
    const Fp8Tiles& call = work.product[p] = products[p].tiles;
    const int64_t n = static_cast<int64_t>(call.parts) * call.part_columns;
    if (!map_byte_rows(work.weight[p], products[p].weight, call.num_experts, n,
                       int64_t{call.groups} * kSwizzledRow, Shape::kColumns))
      return false;
    if (Shape::kRowTileCopies &&
        !map_byte_rows(work.rows[p], call.q, 1, call.rows, int64_t{call.groups} * kSwizzledRow, Shape::kRows))
      return false;
    tiles += products[p].row_tiles * Fp8Columns<Shape>::block_tiles(call);
  }
  const auto blocks = static_cast<unsigned>(std::min<int64_t>(tiles, num_multiprocessors()));
  launch_kernel_with_shared(multiply_fp8_tiles<Shape, kProducts>, dim3(blocks), dim3(Shape::kThreads),
                            sizeof(Fp8TileMemory<Shape>), stream, work);
  return true;
}

template <class Shape>
bool launch_fp8_tiles(const Fp8Tiles& call, const uint8_t* weight, int64_t row_tiles, gpuStream_t stream) {
  const Fp8WeightedTiles products[] = {{call, weight, row_tiles}};
  return launch_fp8_products<Shape>(products, /*knows_rows=*/call.start == nullptr, stream);
}

}  // namespace musaic
