#pragma once

#include <math_constants.h>

#include "hopper.cuh"
#include "ops/attention/attention_tile.cuh"

// Attention by warpgroups. The blocks of 64 positions that a row sees are dealt to two chains in turn,
// counted from position 0; a chain goes through its blocks in ascending order, and the chains' sums are added
// in their order. So a row's bits depend on its sequence alone.
namespace musaic {

inline constexpr int kBlockPositions = 64;
inline constexpr int kTileRows = 64;
inline constexpr int kPartBytes = kBlockPositions * kSwizzledRow;

// A warpgroup a chain, with a ring of stages of its own. A stage's keys are brought while the block before is
// weighed, so that two are enough.
template <int kDim_, int kTilesAtOnce_>
struct Sm90Shape {
  static constexpr int kDim = kDim_;
  static constexpr int kTilesAtOnce = kTilesAtOnce_;  // on a multiprocessor
  static constexpr int kChains = 2;
  static constexpr int kStages = 2;
  static constexpr int kThreads = kChains * kWarpgroupSize;
  static constexpr int kParts = kDim / 64;       // of a row, 128 bytes each
  static constexpr int kColumns = kDim / 8;      // of eight values
  static constexpr int kQuerySteps = kDim / 16;  // products of a score
  static constexpr int kValueSteps = kBlockPositions / 16;

  // Of the round in which a chain's block number `i` has its stage.
  static __device__ uint32_t parity(int i) { return static_cast<uint32_t>(i / kStages) & 1; }
};

// The cache's rows [pages · kv_heads · page_size, head_dim] in copies of `positions`, which divide page and
// block.
struct KvMaps {
  TensorMap keys;
  TensorMap values;
  int positions;
};

template <class Shape>
struct KvStage {
  uint8_t keys[Shape::kParts][kBlockPositions][kSwizzledRow];
  uint8_t values[Shape::kParts][kBlockPositions][kSwizzledRow];
};
struct KvBarriers {
  Barrier keys;  // are there
  Barrier values;
  Barrier keys_read;
  Barrier values_read;
};

// Dynamic shared memory, at a multiple of 1024.
template <class Shape>
struct Sm90Memory {
  union {
    KvStage<Shape> stages[Shape::kChains][Shape::kStages];
    // What a chain leaves to the others, when no stage is used any more.
    float4 sums[Shape::kChains][Shape::kColumns][kWarpgroupSize];
  };
  float2 rows[Shape::kChains][kTileRows];  // maximum, weight
  KvBarriers barriers[Shape::kChains][Shape::kStages];
  // Of a chain's threads, once. (compute-sanitizer's racecheck loses track of the block's meeting where one
  // chain waits for it while the other meets by number.)
  Barrier cleared[Shape::kChains];
};

// Brings a chain's keys or values of the positions before `end`, block by block; a warp, of which a lane has
// a copy of a block.
template <class Shape>
class KvCopies {
 public:
  __device__ KvCopies(const AttentionCall& call, const TensorMap& map, int positions, const RowTile& tile,
                      int kv_head, int end, int chain)
      : call_(call),
        map_(map),
        pages_(call.page_table + tile.sequence * call.max_pages),
        kv_head_(kv_head),
        end_(end),
        chain_(chain),
        lane_(static_cast<int>(threadIdx.x) % kWarpSize),
        copies_(kBlockPositions / positions),
        copy_bytes_(positions * kSwizzledRow) {}

  // Finds block i in the cache: the next one to bring. Called by all lanes for i = 0, 1, ... in turn.
  __device__ void find(int i) {
    const int index = i & (kWarpSize / copies_ - 1);
    if (index == 0) find_rows(i);
    row_ = __shfl_sync(kAllLanes, rows_, index * copies_ + (lane_ & (copies_ - 1)));
  }
  // Brings it, and finds the next one.
  __device__ void bring(int i, uint32_t to, Barrier& there) {
    const int left = min(kBlockPositions, end_ - first_position(i));
    const int count = (left * copies_ + kBlockPositions - 1) / kBlockPositions;
    if (lane_ == 0) there.arrive_and_expect(static_cast<uint32_t>(count * copy_bytes_ * Shape::kParts));
    __syncwarp();
    if (lane_ < count) {
#pragma unroll
      for (int part = 0; part < Shape::kParts; ++part)
        copy_tile(to + static_cast<uint32_t>(part * kPartBytes + lane_ * copy_bytes_), map_,
                  part * kSwizzledRow, row_, 0, there);
    }
    __syncwarp();
    find(i + 1);
  }

 private:
  __device__ int first_position(int i) const {
    return (chain_ + i * Shape::kChains) * kBlockPositions;
  }
  // Of all copies of block i and those behind it, a copy a lane.
  __device__ void find_rows(int i) {
    const int position =
        first_position(i + lane_ / copies_) + (lane_ & (copies_ - 1)) * (kBlockPositions / copies_);
    rows_ = 0;
    if (position >= end_) return;
    const int page = pages_[position / call_.page_size];
    rows_ = (page * call_.kv_heads + kv_head_) * call_.page_size + position % call_.page_size;
  }

  const AttentionCall& call_;
  const TensorMap& map_;
  const int32_t* pages_;
  const int kv_head_;
  const int end_;
  const int chain_;
  const int lane_;
  const int copies_;  // of a block
  const int copy_bytes_;
  int rows_ = 0;  // where copies begin in the cache
  int row_ = 0;   // where the lane's next copy does
};

// A warpgroup: one chain of a tile's rows. A lane has two rows, this one and the eighth behind, and of their
// scores and sums the columns 8j + 2(lane % 4) and the next. The first warp has keys copied, the second
// values.
template <class Shape>
class Sm90Chain {
 public:
  // `warp`: of the block.
  __device__ Sm90Chain(const AttentionCall& call, const KvMaps& maps, const RowTile& tile, int kv_head,
                       int warp, Sm90Memory<Shape>& memory)
      : call_(call),
        num_rows_(tile.num_rows),
        end_(position_of(call, tile, tile.num_rows - 1) + 1),
        chain_(warp / kWarps),
        warp_(warp % kWarps),
        lane_(static_cast<int>(threadIdx.x) % kWarpSize),
        row_(warp_ * 16 + lane_ / 4),
        column_(lane_ % 4 * 2),
        first_position_(position_of(call, tile, 0)),
        copies_(call, warp_ == kKeysWarp ? maps.keys : maps.values, maps.positions, tile, kv_head, end_,
                chain_),
        memory_(memory) {
    const int num_blocks = (end_ + kBlockPositions - 1) / kBlockPositions;
    count_ = (num_blocks - chain_ + Shape::kChains - 1) / Shape::kChains;
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const int row = row_ + 8 * r;
      token_[r] = static_cast<int>(token_of(call, tile, row));
      head_[r] = head_of(call, tile, row, kv_head);
      position_[r] = has_row(r) ? position_of(call, tile, row) : -1;
      maximum_[r] = -CUDART_INF_F;
      weight_[r] = 0.0f;
    }
#pragma unroll
    for (int part = 0; part < Shape::kParts; ++part) {
#pragma unroll
      for (int i = 0; i < kSums; ++i) sums_[part][i] = 0.0f;
    }
  }

  __device__ void run() {
    const bool copies = warp_ == kKeysWarp || warp_ == kValuesWarp;
    if (copies) copies_.find(0);
    wait_for_previous_kernel();
    if (copies) {
      for (int i = 0; i < min(count_, Shape::kStages); ++i) bring(i);
    }
    load_query();
    if (count_ > 0) attend();
    finish();
  }

 private:
  static constexpr int kWarps = kWarpgroupSize / kWarpSize;
  static constexpr int kKeysWarp = 0, kValuesWarp = 1;
  static constexpr int kSums = 32;                                 // a lane's of a product of 64 columns
  static constexpr int kTogether = 1;                              // the number of the block's meeting
  static constexpr int kShare = Shape::kColumns / Shape::kChains;  // of the columns, a chain's
  static constexpr uint64_t kNextPart = kPartBytes >> 4;

  __device__ bool has_row(int r) const {
    return row_ + 8 * r < num_rows_;
  }
  // In a tensor of rows [heads · dim].
  __device__ int64_t offset_of(int r, int64_t stride) const {
    return token_[r] * stride + head_[r] * Shape::kDim + column_;
  }

  __device__ void load_query() {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      float2 values[Shape::kColumns];
      const float* from = call_.query + (has_row(r) ? offset_of(r, call_.query_stride) : 0);
#pragma unroll
      for (int j = 0; j < Shape::kColumns; ++j)
        values[j] = has_row(r) ? *reinterpret_cast<const float2*>(from + 8 * j) : make_float2(0, 0);
#pragma unroll
      for (int j = 0; j < Shape::kColumns; ++j)
        query_[j / 2][j % 2 * 2 + r] = bf16_pair(values[j].x * call_.scale, values[j].y * call_.scale);
    }
#pragma unroll
    for (int i = 0; i < Shape::kQuerySteps; ++i) keep_in_place(query_[i]);
  }

  // While the matrix units add a block's values, the next block's scores become weights.
  __device__ void attend() {
    float keep[2];
    start_scores(0);
    wait_for_products<0>(scores_);
    refill(kKeysWarp, 0);
    weigh(0, keep);
    pack_weights();
    for (int i = 1; i < count_; ++i) {
      start_scores(i);
      start_values(i - 1);
      wait_for_products<1>(scores_);
      weigh(i, keep);
      refill(kKeysWarp, i);  // here: the compiler does not take the next wait across its branches
      wait_for_values();
      refill(kValuesWarp, i - 1);
      scale_sums(keep);
      pack_weights();
    }
    clear_values_behind_end();
    start_values(count_ - 1);
    wait_for_values();
  }

  __device__ KvStage<Shape>& stage(int i) {
    return memory_.stages[chain_][i % Shape::kStages];
  }
  __device__ KvBarriers& barriers(int i) {
    return memory_.barriers[chain_][i % Shape::kStages];
  }

  __device__ void bring(int i) {
    if (warp_ == kKeysWarp) {
      copies_.bring(i, shared_address(&stage(i).keys), barriers(i).keys);
    } else {
      copies_.bring(i, shared_address(&stage(i).values), barriers(i).values);
    }
  }
  // Has the place of block i filled anew, when all warps have read its keys or values.
  __device__ void refill(int warp, int i) {
    if (i + Shape::kStages >= count_) return;
    Barrier& read = warp == kKeysWarp ? barriers(i).keys_read : barriers(i).values_read;
    if (lane_ == 0) read.arrive();
    if (warp_ != warp) return;
    read.wait(Shape::parity(i));
    bring(i + Shape::kStages);
  }

  __device__ void start_scores(int i) {
    const uint64_t keys = swizzled_rows(shared_address(&stage(i).keys));
    barriers(i).keys.wait(Shape::parity(i));
    begin_products();
#pragma unroll
    for (int step = 0; step < Shape::kQuerySteps; ++step)
      Bf16RegisterProduct<64>::add(scores_, query_[step], keys + step / 4 * kNextPart + step % 4 * 2,
                                   step > 0);
    end_products();
  }
  __device__ void start_values(int i) {
    constexpr uint64_t kNextStep = 16 * kSwizzledRow >> 4;
    const uint64_t values = swizzled_rows(shared_address(&stage(i).values));
    barriers(i).values.wait(Shape::parity(i));
    begin_products();
#pragma unroll
    for (int step = 0; step < Shape::kValueSteps; ++step) {
#pragma unroll
      for (int part = 0; part < Shape::kParts; ++part)
        Bf16RegisterProduct<64, true>::add(sums_[part], weights_[step],
                                           values + part * kNextPart + step * kNextStep);
    }
    end_products();
  }
  __device__ void wait_for_values() {
    wait_for_products<0>(sums_[0]);
#pragma unroll
    for (int part = 1; part < Shape::kParts; ++part) keep_in_place(sums_[part]);
  }

  // Scores become weights 2^(score − maximum so far), 0 where a row does not see the position; `keep` is the
  // factor of the sums so far.
  __device__ void weigh(int i, float (&keep)[2]) {
    const int first = (chain_ + i * Shape::kChains) * kBlockPositions;
    if (first + kBlockPositions > first_position_) hide(first + column_);
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      float largest = maximum_[r];
#pragma unroll
      for (int j = 0; j < kSums; j += 4)
        largest = fmaxf(largest, fmaxf(scores_[j + 2 * r], scores_[j + 2 * r + 1]));
      largest = fmaxf(largest, __shfl_xor_sync(kAllLanes, largest, 1));
      largest = fmaxf(largest, __shfl_xor_sync(kAllLanes, largest, 2));
      const float base = largest == -CUDART_INF_F ? 0.0f : largest;
      keep[r] = exp2_near(maximum_[r] - base);
      maximum_[r] = largest;
      float even = 0.0f, odd = 0.0f;
#pragma unroll
      for (int j = 0; j < kSums; j += 4) {
        float& a = scores_[j + 2 * r];
        float& b = scores_[j + 2 * r + 1];
        a = exp2_near(a - base);
        b = exp2_near(b - base);
        even += a;
        odd += b;
      }
      weight_[r] = fmaf(weight_[r], keep[r], even + odd);
    }
  }
  __device__ void hide(int first) {
#pragma unroll
    for (int j = 0; j < kSums; ++j) {
      if (first + j / 4 * 8 + j % 2 > position_[j % 4 / 2]) scores_[j] = -CUDART_INF_F;
    }
  }
  __device__ void scale_sums(const float (&keep)[2]) {
#pragma unroll
    for (int part = 0; part < Shape::kParts; ++part) {
#pragma unroll
      for (int i = 0; i < kSums; ++i) sums_[part][i] *= keep[i % 4 / 2];
      keep_in_place(sums_[part]);
    }
  }
  __device__ void pack_weights() {
#pragma unroll
    for (int i = 0; i < Shape::kValueSteps; ++i) {
#pragma unroll
      for (int word = 0; word < 4; ++word)
        weights_[i][word] = bf16_pair(scores_[8 * i + 2 * word], scores_[8 * i + 2 * word + 1]);
      keep_in_place(weights_[i]);
    }
  }
  // Behind the last position of all; what lies there may be no number, and would meet weights of 0.
  __device__ void clear_values_behind_end() {
    const int i = count_ - 1, left = end_ - (chain_ + i * Shape::kChains) * kBlockPositions;
    if (left >= kBlockPositions) return;
    barriers(i).values.wait(Shape::parity(i));
    constexpr int kPieces = kSwizzledRow / 16;
#pragma unroll
    for (int part = 0; part < Shape::kParts; ++part) {
      uint4* values = reinterpret_cast<uint4*>(stage(i).values[part]);
      for (int at = left * kPieces + thread(); at < kBlockPositions * kPieces; at += kWarpgroupSize)
        values[at] = make_uint4(0, 0, 0, 0);
    }
    publish_to_matrix_units();
    memory_.cleared[chain_].arrive();
    memory_.cleared[chain_].wait(0);
  }

  // Each chain finishes a share of the columns.
  __device__ void finish() {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      weight_[r] += __shfl_xor_sync(kAllLanes, weight_[r], 1);
      weight_[r] += __shfl_xor_sync(kAllLanes, weight_[r], 2);
    }
    if constexpr (Shape::kChains > 1) {
      meet<Shape::kThreads>(kTogether);  // all stages have been read
      leave_sums();
      meet<Shape::kThreads>(kTogether);
    }
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      if (has_row(r)) write(r);
    }
  }
  __device__ void leave_sums() {
    if (column_ == 0) {
#pragma unroll
      for (int r = 0; r < 2; ++r) memory_.rows[chain_][row_ + 8 * r] = make_float2(maximum_[r], weight_[r]);
    }
#pragma unroll
    for (int j = 0; j < Shape::kColumns; ++j) {
      const float* sums = &sums_[j / 8][j % 8 * 4];
      if (j / kShare != chain_)
        memory_.sums[chain_][j][thread()] = make_float4(sums[0], sums[1], sums[2], sums[3]);
    }
  }
  __device__ void write(int r) {
    float take[Shape::kChains] = {1.0f};
    float total = weight_[r];
    if constexpr (Shape::kChains > 1) {
      float2 rows[Shape::kChains];
      float largest = -CUDART_INF_F;
#pragma unroll
      for (int c = 0; c < Shape::kChains; ++c) {
        rows[c] = memory_.rows[c][row_ + 8 * r];
        largest = fmaxf(largest, rows[c].x);
      }
      total = 0.0f;
#pragma unroll
      for (int c = 0; c < Shape::kChains; ++c) {
        take[c] = exp2_near(rows[c].x - largest);
        total = fmaf(rows[c].y, take[c], total);
      }
    }
    const float factor = __fdividef(1.0f, total);
    float* to = call_.out + offset_of(r, call_.out_stride);
#pragma unroll
    for (int j = 0; j < Shape::kColumns; ++j) {
      if (j / kShare != chain_) continue;
      float2 sum = make_float2(0, 0);
#pragma unroll
      for (int c = 0; c < Shape::kChains; ++c) {
        float2 value = make_float2(sums_[j / 8][j % 8 * 4 + 2 * r], sums_[j / 8][j % 8 * 4 + 2 * r + 1]);
        if (c != chain_) value = reinterpret_cast<const float2*>(&memory_.sums[c][j][thread()])[r];
        sum = make_float2(fmaf(value.x, take[c], sum.x), fmaf(value.y, take[c], sum.y));
      }
      *reinterpret_cast<float2*>(to + 8 * j) = make_float2(sum.x * factor, sum.y * factor);
    }
  }

  __device__ int thread() const {
    return warp_ * kWarpSize + lane_;
  }

  const AttentionCall& call_;
  const int num_rows_;
  const int end_;  // of the positions that a row sees
  const int chain_;
  const int warp_;
  const int lane_;
  const int row_;             // the lane's first
  const int column_;          // its first of eight
  const int first_position_;  // of the tile's rows
  KvCopies<Shape> copies_;
  Sm90Memory<Shape>& memory_;
  int count_;  // of the chain's blocks
  int token_[2];
  int head_[2];
  int position_[2];  // −1: no row
  uint32_t query_[Shape::kQuerySteps][4];
  uint32_t weights_[Shape::kValueSteps][4];
  float scores_[kSums];
  float sums_[Shape::kParts][kSums];
  float maximum_[2];
  float weight_[2];  // of the lane's columns
};

// At a barrier of a stage, by its number: of the warps that have read, else of the one that brings.
__device__ inline uint32_t arrivals_of(int barrier) {
  return barrier % 4 < 2 ? 1 : kWarpgroupSize / kWarpSize;
}

// A tile of rows and a kv head a block of threads.
template <class Shape>
__global__ void __launch_bounds__(Shape::kThreads, Shape::kTilesAtOnce)
    attend_sm90(const __grid_constant__ KvMaps maps, const __grid_constant__ AttentionCall call,
                int multiprocessors) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  extern __shared__ __align__(1024) uint8_t shared_bytes[];
  auto& memory = *reinterpret_cast<Sm90Memory<Shape>*>(shared_bytes);
  if (threadIdx.x == 0) {
    prefetch_map(maps.keys);
    prefetch_map(maps.values);
  }
  // Later tiles have less work: those that share a multiprocessor with the first ones are taken from the
  // back.
  int index = static_cast<int>(blockIdx.x);
  if (index / multiprocessors == 1 && 2 * multiprocessors <= static_cast<int>(gridDim.x))
    index = 3 * multiprocessors - 1 - index;
  const int kv_head = index % call.kv_heads;
  RowTile tile;
  if (!find_tile<kTileRows>(call, index / call.kv_heads, &tile)) {
    wait_for_previous_kernel();
    return;
  }
  constexpr int kBarriers = sizeof(memory.barriers) / sizeof(Barrier);
  Barrier* barriers = &memory.barriers[0][0].keys;
  if (threadIdx.x < kBarriers) {
    barriers[threadIdx.x].init(arrivals_of(static_cast<int>(threadIdx.x)));
    if (threadIdx.x < Shape::kChains) memory.cleared[threadIdx.x].init(kWarpgroupSize);
    publish_barriers();
  }
  __syncthreads();
  const int warp = __shfl_sync(kAllLanes, static_cast<int>(threadIdx.x) / kWarpSize, 0);
  Sm90Chain<Shape>(call, maps, tile, kv_head, warp, memory).run();
#endif
}

}  // namespace musaic
