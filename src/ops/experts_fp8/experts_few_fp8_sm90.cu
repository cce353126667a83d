#include <algorithm>

#include "backends/gpu/device_math.cuh"
#include "gpu_launch.cuh"
#include "hopper_counters.cuh"
#include "hopper_narrow.cuh"
#include "ops/experts_fp8/experts_fp8_sm90.h"
#include "ops/linear/tiles_sm90.cuh"
#include "ops/per_token_group_quant/f8_gpu.cuh"

// Both linears of routed and shared experts for few tokens in one launch, whose blocks all run at once. A
// block makes tiles of gate and up first, then tiles of down, each of which waits until its rows are there.
// One thread has the weights of tile after tile copied into a ring of stages, of down too, before these rows
// are there; so reading them never pauses.
//
// The weights are the left factors, 128 of their rows a tile, and up to kRows rows of the step the right
// ones.
namespace musaic {
namespace {

constexpr int kTile = 128;
constexpr int kStageBytes = kTile * kSwizzledRow;
constexpr int kMultiplyingThreads = 2 * kWarpgroupSize;
constexpr int kMultiplyingWarps = kMultiplyingThreads / kWarpSize;
constexpr int kThreads = kMultiplyingThreads + kWarpSize;
constexpr int kMaxNotedRows = 128;
constexpr int kProductSteps = kSwizzledRow / 32;

// Shared or routed.
struct Experts {
  TensorMap gate_up;
  TensorMap down;
  const float* gate_up_scale;
  const float* down_scale;
  uint8_t* rows_q;  // [.., 128 · groups]: what SwiGLU gives
  float* rows_scale;
  ExpertRowsOut out;
  int groups;
};

enum Kind { kShared, kRouted, kNumKinds };

struct FewWork {
  Experts experts[kNumKinds];
  const uint8_t* q;    // [.., 128 · groups]
  const float* scale;  // [.., groups]
  const int32_t* row_token;
  const int32_t* start;
  const int32_t* count;
  const int32_t* live_rows;
  const uint8_t* shared_weights[2];  // and how many bytes
  int64_t shared_bytes[2];
  uint32_t* counters;  // of items taken, then one for each tile of rows
  int groups;
  int num_experts;
  int64_t tokens;
  int64_t rows;
  int n;
};

// Of what down gives.
__device__ int column_tiles(const FewWork& work) {
  return (work.n + kTile - 1) / kTile;
}

// Some rows of one expert.
struct RowTile {
  int expert;
  int first_row;  // grouped
  int rows;
};

// A tile of rows and one of columns: of gate and up, or of down.
struct Item {
  Kind kind;
  bool is_down;
  int row_tile;
  int column;  // in tiles
};

template <int kRows>
struct FewMemory {
  static constexpr int kBytes = 227 << 10, kRest = 4 << 10;
  static constexpr int kRowsBytes = kMaxFewGroups * kRows * (kSwizzledRow + static_cast<int>(sizeof(float)));
  static constexpr int kStages = (kBytes - kRest - kRowsBytes) / kStageBytes;

  uint8_t weight[kStages][kTile][kSwizzledRow];
  uint8_t rows[kMaxFewGroups][kRows][kSwizzledRow];  // of an item
  float row_scales[kMaxFewGroups][kRows];
  float weight_scales[kStages];
  float largest[kMultiplyingWarps][kRows];
  Barrier full[kStages];
  Barrier empty[kStages];
  Barrier has_item[2];
  int items[2];                    // the block's, in turns
  RowTile tiles[kMaxFewRowTiles];  // the shared experts' first
  int row_token[kMaxNotedRows];
  int num_tiles;
};

static_assert(sizeof(FewMemory<8>) <= FewMemory<8>::kBytes &&
              sizeof(FewMemory<16>) <= FewMemory<16>::kBytes &&
              sizeof(FewMemory<32>) <= FewMemory<32>::kBytes);

template <int kRows>
__device__ int tiles_of(int rows) {
  return (rows + kRows - 1) / kRows;
}

// The launch's items, those of gate and up first.
class Items {
 public:
  __device__ Items(const FewWork& work, int shared_tiles, int num_tiles)
      : shared_tiles_(shared_tiles),
        groups_{work.experts[kShared].groups, work.experts[kRouted].groups},
        columns_(column_tiles(work)),
        first_routed_(shared_tiles * groups_[kShared]),
        first_down_(first_routed_ + (num_tiles - shared_tiles) * groups_[kRouted]),
        count_(first_down_ + num_tiles * columns_) {}

  __device__ int count() const { return count_; }
  __device__ Item operator[](int index) const {
    if (index < first_routed_) return {kShared, false, index / groups_[kShared], index % groups_[kShared]};
    if (index < first_down_) {
      const int i = index - first_routed_;
      return {kRouted, false, shared_tiles_ + i / groups_[kRouted], i % groups_[kRouted]};
    }
    const int i = index - first_down_, tile = i / columns_;
    return {tile < shared_tiles_ ? kShared : kRouted, true, tile, i % columns_};
  }

 private:
  int shared_tiles_;
  int groups_[kNumKinds];
  int columns_;
  int first_routed_;
  int first_down_;
  int count_;
};

// By one warp: the tiles of rows of shared experts, then those of routed ones.
template <int kRows>
__device__ void list_tiles(const FewWork& work, FewMemory<kRows>& memory) {
  constexpr int kRounds = kMaxFewRowTiles / kWarpSize;
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  const int live = static_cast<int>(live_count(work.live_rows, work.tokens));
  int counts[kRounds], starts[kRounds], before = tiles_of<kRows>(live);
#pragma unroll
  for (int round = 0; round < kRounds; ++round) {
    const int expert = round * kWarpSize + lane;
    const bool is_there = expert < work.num_experts;
    counts[round] = is_there ? work.count[expert] : 0;
    starts[round] = is_there ? work.start[expert] : 0;
  }
  for (int tile = lane; tile < before; tile += kWarpSize)
    memory.tiles[tile] = {0, tile * kRows, min(live - tile * kRows, kRows)};
#pragma unroll
  for (int round = 0; round < kRounds; ++round) {
    if (round * kWarpSize >= work.num_experts) break;
    const int count = counts[round];
    int end = tiles_of<kRows>(count);
    for (int distance = 1; distance < kWarpSize; distance *= 2) {
      const int other = __shfl_up_sync(0xffffffffu, end, distance);
      if (lane >= distance) end += other;
    }
    int tile = before + end - tiles_of<kRows>(count);
    for (int row = 0; row < count; row += kRows)
      memory.tiles[tile++] = {round * kWarpSize + lane, starts[round] + row, min(count - row, kRows)};
    before += __shfl_sync(0xffffffffu, end, kWarpSize - 1);
  }
  if (lane == 0) memory.num_tiles = before;
}

// Two threads have the weights of the block's items copied: one the tiles, the other one their scales.
template <int kRows>
class WeightCopier {
  using Memory = FewMemory<kRows>;

 public:
  static constexpr int kThreads = 2;

  __device__ WeightCopier(const FewWork& work, Memory& memory)
      : work_(work), memory_(memory), is_first_(threadIdx.x % kWarpSize == 0) {}

  // Of the block's first item, as far as there are stages.
  __device__ void begin(const Item& item) {
    begun_ = min(steps_of(item), Memory::kStages);
    copy(item, 0, begun_);
  }

  // A block takes an item when it has begun to multiply the one before, so that none lies in a ring while
  // another block waits for work.
  __device__ void run(const Items& items) {
    int index = static_cast<int>(blockIdx.x);
#pragma unroll 1
    for (int i = 0;; ++i) {
      if (is_first_) {
        memory_.items[i % 2] = index;
        memory_.has_item[i % 2].arrive();
      }
      if (index >= items.count()) return;
      const RingPlace<Memory::kStages> first = i == 0 ? RingPlace<Memory::kStages>() : place_;
      const Item item = items[index];
      copy(item, begun_, steps_of(item));
      begun_ = 0;
      if (steps_of(item) <= Memory::kStages) memory_.empty[first.stage].wait(first.parity);
      index = take(items);
    }
  }

 private:
  __device__ int take(const Items& items) const {
    int index = 0;
    if (is_first_)
      index =
          static_cast<int>(gridDim.x + take_number(work_.counters, static_cast<uint32_t>(items.count() - 1)));
    return __shfl_sync((1u << kThreads) - 1, index, 0);
  }

  __device__ int steps_of(const Item& item) const {
    return item.is_down ? work_.experts[item.kind].groups : 2 * work_.groups;
  }

  // Of gate and up, their tiles take turns.
  __device__ void copy(const Item& item, int first, int end) {
    const Experts& experts = work_.experts[item.kind];
    const TensorMap& map = item.is_down ? experts.down : experts.gate_up;
    const int expert = item.kind == kShared ? 0 : memory_.tiles[item.row_tile].expert;
    const int parts = item.is_down ? 1 : 2, groups = item.is_down ? experts.groups : work_.groups;
    const int blocks = item.is_down ? column_tiles(work_) : experts.groups;  // of a part
    const float* scale = (item.is_down ? experts.down_scale : experts.gate_up_scale) +
                         (int64_t{expert} * parts * blocks + item.column) * groups;
#pragma unroll 1
    for (int step = first; step < end; ++step) {
      const int group = step / parts, part_block = step % parts * blocks;
      Barrier& full = memory_.full[place_.stage];
      memory_.empty[place_.stage].wait(place_.parity ^ 1);
      if (is_first_) {
        full.arrive_and_expect(kStageBytes);
        copy_tile_once(shared_address(&memory_.weight[place_.stage]), map, group * kSwizzledRow,
                       (part_block + item.column) * kTile, expert, full);
      } else {
        copy_4_bytes(shared_address(&memory_.weight_scales[place_.stage]),
                     scale + part_block * groups + group, true);
        arrive_after_copies(full);
      }
      place_.advance();
    }
  }

  const FewWork& work_;
  Memory& memory_;
  const bool is_first_;
  RingPlace<Memory::kStages> place_;
  int begun_ = 0;  // stages of the first item
};

// The warpgroups that multiply: each has 64 rows of a tile of the weight.
template <int kRows>
class Multiplier {
  using Memory = FewMemory<kRows>;

 public:
  __device__ Multiplier(const FewWork& work, Memory& memory)
      : work_(work),
        memory_(memory),
        thread_(static_cast<int>(threadIdx.x)),
        warp_(thread_ / kWarpSize),
        lane_(thread_ % kWarpSize),
        first_weight_row_(thread_ / kWarpgroupSize * kWarpgroupRows) {}

  __device__ void run(const Items& items) {
#pragma unroll 1
    for (int i = 0;; ++i) {
      memory_.has_item[i % 2].wait(static_cast<uint32_t>(i / 2 % 2));
      const int index = memory_.items[i % 2];
      if (index >= items.count()) return;
      const Item item = items[index];
      const Experts& experts = work_.experts[item.kind];
      const RowTile tile = memory_.tiles[item.row_tile];
      meet_all();  // nobody reads the rows before any longer
      if (item.is_down) {
        down(experts, item, tile);
      } else {
        gate_up(experts, item, tile);
      }
    }
  }

 private:
  static constexpr int kSums = kRows / 2;
  static constexpr int kPieces = kSwizzledRow / 16;

  // Of some groups one after the other, and the weights' scales.
  template <int kParts, int kGroups>
  struct Products {
    float values[kGroups][kParts][kSums];
    float scales[kGroups][kParts];
  };

  static __device__ void meet_all() {
    meet<kMultiplyingThreads>(1);
  }

  // Of a value of the thread's sums: its row among those of the step, and of the weight in the tile.
  __device__ int row_of(int i) const {
    return i / 4 * 8 + 2 * (lane_ % 4) + i % 2;
  }
  __device__ int column_of(int i) const {
    return first_weight_row_ + warp_ % 4 * 16 + lane_ / 4 + i % 4 / 2 * 8;
  }

  __device__ uint32_t* counter_of(const Item& item) const {
    return work_.counters + 1 + item.row_tile;
  }
  // How often it is raised: by each tile of gate and up, then by each reader.
  __device__ uint32_t last_count(const Experts& experts) const {
    return static_cast<uint32_t>(experts.groups + column_tiles(work_) - 1);
  }

  __device__ void gate_up(const Experts& experts, const Item& item, const RowTile& tile) {
    const bool is_routed = item.kind == kRouted;
    const auto source = [&](int row) {
      if (!is_routed) return row;
      return row < kMaxNotedRows ? memory_.row_token[row] : work_.row_token[row];
    };
    load_rows(work_.q, work_.scale, work_.groups, tile, source);
    float sum[2][kSums] = {};
    add_groups(work_.groups, sum);
    write_swiglu(experts, item, tile, sum[0], sum[1]);
  }

  __device__ void down(const Experts& experts, const Item& item, const RowTile& tile) {
    uint32_t* counter = counter_of(item);
    if (lane_ == 0) wait_for_count(counter, static_cast<uint32_t>(experts.groups));
    __syncwarp();
    load_rows(experts.rows_q, experts.rows_scale, experts.groups, tile, [](int row) { return row; });
    if (thread_ == 0) count_up(counter, last_count(experts));
    float sum[1][kSums] = {};
    add_groups(experts.groups, sum);
    write(experts, item, tile, sum[0]);
  }

  // And meets the others.
  template <class Source>
  __device__ void load_rows(const uint8_t* q, const float* scale, int groups, const RowTile& tile,
                            const Source& source) {
    const int pieces = groups * kPieces;
    for (int i = thread_; i < tile.rows * pieces; i += kMultiplyingThreads) {
      const int row = i / pieces, piece = i - row * pieces;
      const uint8_t* from = q + (int64_t{source(tile.first_row + row)} * pieces + piece) * 16;
      copy_16_bytes(shared_address(&memory_.rows[piece / kPieces]) + swizzled_offset(row, piece % kPieces),
                    from, true);
    }
    for (int i = thread_; i < tile.rows * groups; i += kMultiplyingThreads) {
      const int row = i / groups, group = i - row * groups;
      memory_.row_scales[group][row] = __ldcg(scale + int64_t{source(tile.first_row + row)} * groups + group);
    }
    wait_for_copies();
    publish_to_matrix_units();
    meet_all();
  }

  template <int kParts>
  __device__ void add_groups(int groups, float (&sum)[kParts][kSums]) {
    constexpr int kAtOnce = 4 / kParts;
    int group = 0;
#pragma unroll 1
    for (; group + kAtOnce <= groups; group += kAtOnce) add_some<kParts, kAtOnce>(group, sum);
#pragma unroll 1
    for (; group < groups; ++group) add_some<kParts, 1>(group, sum);
  }

  template <int kParts, int kGroups>
  __device__ void add_some(int group, float (&sum)[kParts][kSums]) {
    Products<kParts, kGroups> products;
    multiply(group, products);
    __syncwarp();
#pragma unroll
    for (int stage = 0; stage < kGroups * kParts; ++stage) {
      if (lane_ == 0) memory_.empty[done_.stage].arrive();
      done_.advance();
    }
#pragma unroll
    for (int g = 0; g < kGroups; ++g) {
#pragma unroll
      for (int j = 0; j < kSums; j += 4) {
        const float2 rows = *reinterpret_cast<const float2*>(&memory_.row_scales[group + g][row_of(j)]);
#pragma unroll
        for (int part = 0; part < kParts; ++part) {
          const float first = rows.x * products.scales[g][part], second = rows.y * products.scales[g][part];
          const float(&product)[kSums] = products.values[g][part];
          float(&to)[kSums] = sum[part];
          to[j] = fmaf(product[j], first, to[j]);
          to[j + 1] = fmaf(product[j + 1], second, to[j + 1]);
          to[j + 2] = fmaf(product[j + 2], first, to[j + 2]);
          to[j + 3] = fmaf(product[j + 3], second, to[j + 3]);
        }
      }
    }
  }

  template <int kParts, int kGroups>
  __device__ void multiply(int group, Products<kParts, kGroups>& products) {
    uint64_t left[kGroups][kParts];
#pragma unroll
    for (int g = 0; g < kGroups; ++g) {
#pragma unroll
      for (int part = 0; part < kParts; ++part) {
        memory_.full[read_.stage].wait(read_.parity);
        left[g][part] = swizzled_rows(shared_address(&memory_.weight[read_.stage][first_weight_row_]));
        products.scales[g][part] = memory_.weight_scales[read_.stage];
        read_.advance();
      }
    }
    begin_products();
#pragma unroll
    for (int g = 0; g < kGroups; ++g) {
      const uint64_t right = swizzled_rows(shared_address(&memory_.rows[group + g]));
#pragma unroll
      for (int part = 0; part < kParts; ++part) {
#pragma unroll
        for (int i = 0; i < kProductSteps; ++i)
          Fp8Product<kRows>::add(products.values[g][part], left[g][part] + 2 * i, right + 2 * i, i > 0);
      }
    }
    end_products();
    wait_for_product_batches<0>();
#pragma unroll
    for (int g = 0; g < kGroups; ++g) {
#pragma unroll
      for (int part = 0; part < kParts; ++part) keep_in_place(products.values[g][part]);
    }
  }

  // As SwigluWriter: up becomes the product.
  __device__ void write_swiglu(const Experts& experts, const Item& item, const RowTile& tile,
                               const float (&gate)[kSums], float (&up)[kSums]) {
    constexpr float kLeast = 1e-10f, kLargest = 448.0f;
    float largest[kSums / 2];
#pragma unroll
    for (int i = 0; i < kSums; ++i) up[i] *= __fdividef(gate[i], 1.0f + __expf(-gate[i]));
#pragma unroll
    for (int r = 0; r < kSums / 2; ++r) {
      const int i = r / 2 * 4 + r % 2;
      largest[r] = fmaxf(fabsf(up[i]), fabsf(up[i + 2]));
#pragma unroll
      for (int distance = 4; distance < kWarpSize; distance *= 2)
        largest[r] = fmaxf(largest[r], __shfl_xor_sync(0xffffffffu, largest[r], distance));
      if (lane_ < 4) memory_.largest[warp_][row_of(i)] = largest[r];
    }
    meet_all();
#pragma unroll
    for (int r = 0; r < kSums / 2; ++r) {
      const int i = r / 2 * 4 + r % 2, row = row_of(i);
      if (row >= tile.rows) continue;
      float most = 0.0f;
#pragma unroll
      for (int w = 0; w < kMultiplyingWarps; ++w) most = fmaxf(most, memory_.largest[w][row]);
      const float scale = __fdiv_rn(fmaxf(most, kLeast), kLargest), inverse = __frcp_rn(scale);
      const int64_t to = int64_t{tile.first_row} + row;
      if (warp_ == 0 && lane_ < 4) experts.rows_scale[to * experts.groups + item.column] = scale;
      const uint16_t pair = f8e4m3_pair(quotient(up[i], scale, inverse), quotient(up[i + 2], scale, inverse));
      uint8_t* q = experts.rows_q + (to * experts.groups + item.column) * kTile;
      q[column_of(i)] = static_cast<uint8_t>(pair);
      q[column_of(i + 2)] = static_cast<uint8_t>(pair >> 8);
    }
    meet_all();
    if (thread_ == 0) count_up(counter_of(item), last_count(experts));
  }

  __device__ void write(const Experts& experts, const Item& item, const RowTile& tile,
                        const float (&sum)[kSums]) {
#pragma unroll
    for (int i = 0; i < kSums; ++i) {
      const int row = row_of(i), column = item.column * kTile + column_of(i);
      if (row >= tile.rows || column >= work_.n) continue;
      const int64_t to = (int64_t{tile.first_row} + row) * work_.n + column;
      if (experts.out.dtype == DType::kBF16) {
        static_cast<gpuBfloat16*>(experts.out.data)[to] = from_float<gpuBfloat16>(sum[i] + 0.0f);
      } else {
        static_cast<float*>(experts.out.data)[to] = sum[i] + 0.0f;
      }
    }
  }

  const FewWork& work_;
  Memory& memory_;
  const int thread_;
  const int warp_;
  const int lane_;
  const int first_weight_row_;
  RingPlace<Memory::kStages> read_;
  RingPlace<Memory::kStages> done_;
};

// By one warp of each block from `first_block` on: its share of the shared experts' weights, to the L2 cache.
__device__ void prefetch_shared_weights(const FewWork& work, int first_block) {
  constexpr int64_t kPiece = 4 << 10;
  const int place = static_cast<int>(blockIdx.x) - first_block;
  if (place < 0) return;
  const int64_t step = int64_t{gridDim.x - first_block} * kWarpSize * kPiece;
#pragma unroll 1
  for (int w = 0; w < 2; ++w) {
    int64_t first = (int64_t{place} * kWarpSize + threadIdx.x % kWarpSize) * kPiece;
#pragma unroll 1
    for (; first < work.shared_bytes[w]; first += step) {
      const int64_t left = work.shared_bytes[w] - first;
      prefetch_bytes(work.shared_weights[w] + first, static_cast<uint32_t>(left < kPiece ? left : kPiece));
    }
  }
}

template <int kRows>
__device__ void init_barriers(FewMemory<kRows>& memory) {
  for (int s = 0; s < FewMemory<kRows>::kStages; ++s) {
    memory.full[s].init(WeightCopier<kRows>::kThreads);
    memory.empty[s].init(kMultiplyingWarps);
  }
  for (Barrier& barrier : memory.has_item) barrier.init(1);
  publish_barriers();
}

template <int kRows>
__global__ void __launch_bounds__(kThreads, 1) experts_of_few_tokens(const __grid_constant__ FewWork work) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  extern __shared__ __align__(1024) uint8_t shared_bytes[];
  auto& memory = *reinterpret_cast<FewMemory<kRows>*>(shared_bytes);
  const int warp = __shfl_sync(0xffffffffu, static_cast<int>(threadIdx.x) / kWarpSize, 0);
  const bool copies = warp == kMultiplyingWarps;
  const bool is_copier = copies && threadIdx.x % kWarpSize < WeightCopier<kRows>::kThreads;
  const int shared_tiles = tiles_of<kRows>(static_cast<int>(live_count(work.live_rows, work.tokens)));
  const int shared_items = shared_tiles * work.experts[kShared].groups;
  WeightCopier<kRows> copier(work, memory);
  if (copies) {
    if (threadIdx.x % kWarpSize == 0) init_barriers(memory);
    __syncwarp();
    if (is_copier && static_cast<int>(blockIdx.x) < shared_items)
      copier.begin(Items(work, shared_tiles, shared_tiles)[static_cast<int>(blockIdx.x)]);
    __syncwarp();
    prefetch_shared_weights(work, shared_items);
  }
  wait_for_previous_kernel();
  if (warp == 0) {
    list_tiles<kRows>(work, memory);
  } else if (threadIdx.x < kWarpSize + kMaxNotedRows) {
    const int row = static_cast<int>(threadIdx.x) - kWarpSize;
    if (row < work.rows) memory.row_token[row] = work.row_token[row];
  }
  __syncthreads();
  const Items items(work, shared_tiles, memory.num_tiles);
  if (!copies) {
    Multiplier<kRows>(work, memory).run(items);
  } else if (is_copier) {
    copier.run(items);
  }
#endif
}

// False: the driver cannot map a weight.
bool map_experts(const ExpertsFp8Call& call, const ExpertsLinears& linears, int64_t num_experts,
                 Experts& experts) {
  experts.gate_up_scale = linears.gate_up_scale;
  experts.down_scale = linears.down_scale;
  experts.rows_q = linears.rows.q;
  experts.rows_scale = linears.rows.scale;
  experts.out = linears.out;
  experts.groups = static_cast<int>(linears.d / kTile);
  return map_byte_rows(experts.gate_up, linears.gate_up, num_experts, 2 * linears.d, call.k, kTile) &&
         map_byte_rows(experts.down, linears.down, num_experts, call.n, linears.d, kTile);
}

template <int kRows>
bool launch(const ExpertsFp8Call& call, gpuStream_t stream) {
  FewWork work;
  if (!map_experts(call, call.shared, 1, work.experts[kShared]) ||
      !map_experts(call, call.routed, call.num_experts, work.experts[kRouted]))
    return false;
  work.q = call.q;
  work.scale = call.scale;
  work.row_token = call.row_token;
  work.start = call.start;
  work.count = call.count;
  work.live_rows = call.live_rows;
  work.shared_weights[0] = call.shared.gate_up;
  work.shared_bytes[0] = 2 * call.shared.d * call.k;
  work.shared_weights[1] = call.shared.down;
  work.shared_bytes[1] = call.n * call.shared.d;
  work.counters = call.counters;
  work.groups = static_cast<int>(call.k / kTile);
  work.num_experts = static_cast<int>(call.num_experts);
  work.tokens = call.tokens;
  work.rows = call.rows;
  work.n = static_cast<int>(call.n);
  launch_kernel_with_shared(experts_of_few_tokens<kRows>, dim3(static_cast<unsigned>(num_multiprocessors())),
                            dim3(kThreads), sizeof(FewMemory<kRows>), stream, work);
  return true;
}

// The rows that a tile has room for; 0: the call is none of few tokens. Up to 16 tokens an expert's rows are
// one tile, where tokens choose different experts.
int rows_of_tile(const ExpertsFp8Call& call) {
  constexpr int64_t kMostDepth = int64_t{kMaxFewGroups} * kTile, kMostTokens = 64;
  if (call.tokens > kMostTokens || call.k > kMostDepth || call.routed.d > kMostDepth ||
      call.shared.d > kMostDepth)
    return 0;
  const int rows = call.tokens <= 8 ? 8 : call.tokens <= 16 ? 16 : 32;
  const int64_t tiles = (call.rows + call.tokens) / rows + call.num_experts + 1;  // at most
  return tiles < kMaxFewRowTiles ? rows : 0;
}

}  // namespace

bool takes_few_tokens(const ExpertsFp8Call& call) {
  return rows_of_tile(call) > 0;
}

bool launch_experts_few_fp8(const ExpertsFp8Call& call, gpuStream_t stream) {
  switch (rows_of_tile(call)) {
    case 8:
      return launch<8>(call, stream);
    case 16:
      return launch<16>(call, stream);
    default:
      return launch<32>(call, stream);
  }
}

}  // namespace musaic
