#pragma once

#include <algorithm>

#include "ops/mla_attention/mla_query_tiles_sm90.cuh"

// Attention over the tiles. A block has a warpgroup that brings tiles into a ring of stages, or makes those
// that were not made ahead, and one or two that attend with 64 query rows of a head each: while the scores of
// one tile are under way, so are the weighted values of the one before. Two warpgroups multiply by turns,
// one's products beside the other's softmax. A row's bits do not depend on how many warpgroups there are: of
// a tile that a row does not see, it adds zeros.
namespace musaic {

inline constexpr int kMostStages = 2;

struct AttendStage {
  TileColumns keys[kKeyChunks];
  TileColumns values[2];
};

// In the place of the second stage where tiles are made.
struct TileMaker {
  uint8_t weights[kLatentGroups][kWeightRows][kSwizzledRow];
  LatentRows latents;
};
static_assert(sizeof(TileMaker) <= sizeof(AttendStage), "it has a stage's place");

template <int kRowTiles>
struct AttendMemory {
  AttendStage stages[kMostStages];
  QueryRows query[kRowTiles];
  Barrier keys_full[kMostStages], keys_empty[kMostStages];
  Barrier values_full[kMostStages], values_empty[kMostStages];
  Barrier weights_full;
  Barrier query_full[kRowTiles], query_empty[kRowTiles];
};

struct AttendWork {
  TensorMap kv_b;  // in tiles of kWeightRows
  MlaAttentionCall call;
  Fp8RowsOut fp8;  // without q: float rows, where `call` says
  int max_tiles;
};

// The warpgroup that brings tiles.
template <int kRowTiles>
class TileBringer {
 public:
  __device__ TileBringer(const AttendWork& work, AttendMemory<kRowTiles>& memory, int stages)
      : work_(work),
        memory_(memory),
        tiles_{work.call.workspace, work.call.heads},
        stages_(stages),
        thread_(static_cast<int>(threadIdx.x) % kWarpgroupSize) {}

  // Every tile was made ahead. By one warp; where the first ones lie is found before the wait.
  __device__ void run() {
    QueryTileWalk<kRowTiles> walk(work_.call, 0);
    QueryTile query;
    bool is_there = walk.next(query);
    int first = is_there ? first_tile(query) : 0;
    wait_for_previous_kernel();
    while (is_there) {
      for (int tile = 0; tile < query.tiles; ++tile) bring(first + tile, query.head);
      is_there = walk.next(query);
      if (is_there) first = first_tile(query);
    }
  }
  // The others are made. By the whole warpgroup.
  __device__ void run_and_make() {
    wait_for_previous_kernel();
    QueryTileWalk<kRowTiles> walk(work_.call, 0);
    for (QueryTile query; walk.next(query);) {
      const int first = first_tile(query);
      for (int tile = 0; tile < query.tiles; ++tile) {
        if (first + tile < work_.max_tiles) {
          bring(first + tile, query.head);
        } else {
          make(query, tile);
        }
      }
    }
  }

 private:
  static constexpr int kMeeting = 1;

  __device__ int first_tile(const QueryTile& query) const {
    return sum_before(query.sequence, WideTilesOfSequence{work_.call.cache});
  }

  __device__ void bring(int index, int head) {
    if (thread_ == 0) {
      const HeadTile& from = tiles_.head(index, head);
      AttendStage& stage = memory_.stages[place_.stage];
      Barrier &keys = memory_.keys_full[place_.stage], &values = memory_.values_full[place_.stage];
      memory_.keys_empty[place_.stage].wait(place_.parity ^ 1);
      keys.arrive_and_expect(sizeof(stage.keys));
      copy_bytes(shared_address(&stage.keys), &from, 2 * sizeof(TileColumns), keys);
      copy_bytes(shared_address(&stage.keys[2]), &tiles_.rope(index), sizeof(TileColumns), keys);
      memory_.values_empty[place_.stage].wait(place_.parity ^ 1);
      values.arrive_and_expect(sizeof(stage.values));
      copy_bytes(shared_address(&stage.values), &from[2], sizeof(stage.values), values);
    }
    place_.advance(stages_);
  }

  // The keys' stage is free before that of the values is, which the next tile's scores do not wait for.
  __device__ void make(const QueryTile& query, int tile) {
    make_half(query, tile, 0, memory_.stages[0].keys, memory_.keys_empty[0], memory_.keys_full[0]);
    make_half(query, tile, 1, memory_.stages[0].values, memory_.values_empty[0], memory_.values_full[0]);
    place_.advance(stages_);
  }
  // Half 0 are the keys, 1 the values.
  __device__ void make_half(const QueryTile& query, int tile, int half, TileColumns* to, Barrier& empty,
                            Barrier& full) {
    empty.wait(place_.parity ^ 1);
    for (int row = 0; row < kMlaWideTile; row += kLatentRows) make_rows(query, tile, half, row, to);
    publish_to_matrix_units();
    meet<kWarpgroupSize>(kMeeting);
    if (thread_ == 0) full.arrive();
  }

  __device__ void make_rows(const QueryTile& query, int tile, int half, int first_row, TileColumns* to) {
    TileMaker& maker = *reinterpret_cast<TileMaker*>(&memory_.stages[1]);
    const LatentLoader<kWarpgroupSize, 1> loader = {work_.call.cache, maker.latents, thread_};
    loader.locate(query.sequence, tile * kMlaWideTile + first_row);
    meet<kWarpgroupSize>(kMeeting);
    loader.quantize();
    if (half == 0) loader.copy_rope(to[2], first_row);
    publish_to_matrix_units();
    meet<kWarpgroupSize>(kMeeting);
#pragma unroll 1
    for (int part = 0; part < 2; ++part) {  // 64 columns each
      const int column = query.head * kHeadColumns + (2 * half + part) * kWeightRows;
      if (thread_ == 0) copy_weights(column, maker);
      const BlockScales scales(work_.call.kv_b, column);
      float sum[kWeightRows / 2];
      memory_.weights_full.wait(weights_parity_);
      weights_parity_ ^= 1;
      multiply_latents<sizeof(maker.weights[0])>(maker.latents, &maker.weights[0][0][0], scales, sum);
      meet<kWarpgroupSize>(kMeeting);
      store_columns(sum, first_row, to[part]);
    }
  }
  __device__ void copy_weights(int row, TileMaker& maker) {
    memory_.weights_full.arrive_and_expect(sizeof(maker.weights));
#pragma unroll 1
    for (int group = 0; group < kLatentGroups; ++group)
      copy_tile(shared_address(&maker.weights[group]), work_.kv_b, group * kSwizzledRow, row, 0,
                memory_.weights_full);
  }

  const AttendWork& work_;
  AttendMemory<kRowTiles>& memory_;
  const WideTiles tiles_;
  const int stages_;
  const int thread_;
  StagePlace place_;
  uint32_t weights_parity_ = 0;
};

// The warps beside the one that brings tiles bring the block's queries behind the first: on their way to the
// L2 cache while the one before is attended with, and in its place once its scores are there.
template <int kRowTiles>
class QueryBringer {
 public:
  static constexpr int kThreads = kWarpgroupSize - kWarpSize;

  __device__ QueryBringer(const MlaAttentionCall& call, AttendMemory<kRowTiles>& memory)
      : call_(call), memory_(memory), thread_(static_cast<int>(threadIdx.x) - kWarpSize) {}

  __device__ void run() {
    QueryTileWalk<kRowTiles> first(call_, 0), second(call_, 1);
    wait_for_previous_kernel();
    QueryTile queries[2];
    first.next(queries[0]);
    if constexpr (kRowTiles == 2) second.next(queries[1]);
    for (uint32_t parity = 0; first.next(queries[0]); parity ^= 1) {
      if constexpr (kRowTiles == 2) second.next(queries[1]);
#pragma unroll
      for (int i = 0; i < kRowTiles; ++i) prefetch(queries[i]);
#pragma unroll 1
      for (int i = 0; i < kRowTiles; ++i) {
        memory_.query_empty[i].wait(parity);
        load_query_rows<kThreads, 16>(call_, i == 0 ? queries[0] : queries[1], thread_, memory_.query[i]);
        publish_to_matrix_units();
        __syncwarp();
        if (thread_ % kWarpSize == 0) memory_.query_full[i].arrive();
      }
    }
  }

 private:
  __device__ void prefetch(const QueryTile& query) const {
    const auto* from = reinterpret_cast<const uint8_t*>(query_values(call_, query));
    for (int row = thread_; row < query.rows; row += kThreads)
      prefetch_bytes(from + row * call_.query_stride * 4, 64 * kKeyChunks * 4);
  }

  const MlaAttentionCall& call_;
  AttendMemory<kRowTiles>& memory_;
  const int thread_;
};

// A warpgroup that attends.
template <int kRowTiles>
class TileAttender {
 public:
  static constexpr int kArrivals = kWarpgroupSize / kWarpSize * kRowTiles;

  // `index` is the warpgroup's among those that attend.
  __device__ TileAttender(const AttendWork& work, AttendMemory<kRowTiles>& memory, int stages, int index)
      : call_(work.call),
        fp8_(work.fp8),
        memory_(memory),
        stages_(stages),
        index_(index),
        thread_(static_cast<int>(threadIdx.x) % kWarpgroupSize) {}

  __device__ void run() {
    if (index_ == 1) end_turn();  // the first one is the other's
    QueryTileWalk<kRowTiles> walk(call_, index_);
    QueryTile query, next;
    if (!walk.next(query)) return wait_for_previous_kernel();
    bool has_next = walk.next(next);
    load_query(query);  // the kernel before this one has not made it
    wait_for_previous_kernel();
    for (uint32_t parity = 0;; parity ^= 1) {
      attend(query);
      if (!has_next) break;
      query = next;
      has_next = walk.next(next);
      if (has_query_bringer()) {
        memory_.query_full[index_].wait(parity);
      } else {
        load_query(query);
      }
    }
  }

 private:
  static constexpr int kSteps = kMlaWideTile / 16;  // of positions
  static constexpr int kValues = 128;
  using Scores = float[64];
  using Sums = float[64];
  using Weights = uint32_t[kSteps][4];

  // Where tiles are made, the warps that would bring queries make them.
  __device__ bool has_query_bringer() const { return stages_ > 1; }
  __device__ void meet_warpgroup() const {
    // Numbers are constants.
    if (index_ == 0) {
      meet<kWarpgroupSize>(2);
    } else {
      meet<kWarpgroupSize>(3);
    }
  }

  __device__ void load_query(const QueryTile& query) {
    meet_warpgroup();  // nobody reads the query before this one
    load_query_rows<kWarpgroupSize, 12>(call_, query, thread_, memory_.query[index_]);
    publish_to_matrix_units();
    meet_warpgroup();
  }

  __device__ void attend(const QueryTile& query) {
    const int tiles = query.tiles_seen();
    if (tiles > 0) {
      maximum_[0] = maximum_[1] = kNoMaximum;
      weight_[0] = weight_[1] = 0.0f;
      Sums sums;
      add_tiles(query.position, tiles, sums);
      write(query, sums);
    } else {
      release_query();
    }
    for (int tile = tiles; tile < query.tiles; ++tile) skip_tile();
  }

  // `position` is that of the warpgroup's first row.
  __device__ void add_tiles(int position, int tiles, Sums& sums) {
    Scores scores;
    Weights weights;
    float keep[2];
#pragma unroll
    for (int i = 0; i < 64; ++i) sums[i] = 0.0f;
    begin_turn();
    start_scores(scores);
    end_turn();
    wait_for_products<0>(scores);
    release(memory_.keys_empty, keys_);
    if (tiles == 1) release_query();
    weigh(0, position, scores, keep);
    pack(scores, weights);
#pragma unroll 1
    for (int tile = 1; tile < tiles; ++tile) {
      begin_turn();
      start_scores(scores);
      start_sums(weights, sums);
      end_turn();
      wait_for_products<1>(scores);
      release(memory_.keys_empty, keys_);
      if (tile + 1 == tiles) release_query();
      weigh(tile * kMlaWideTile, position, scores, keep);
      keep_in_place(scores);
      finish_sums(weights, sums);
#pragma unroll
      for (int i = 0; i < 64; ++i) sums[i] *= keep[i / 2 % 2];
      pack(scores, weights);
    }
    start_sums(weights, sums);
    finish_sums(weights, sums);
  }

  // Of two warpgroups that take turns in products, each has as many as the tile of query rows sees tiles.
  static constexpr int kTurn = 4;  // number of the meeting ahead of the first one's, then of the second one's
  __device__ void begin_turn() const {
    if constexpr (kRowTiles == 2) {
      if (index_ == 0) {
        meet<2 * kWarpgroupSize>(kTurn);
      } else {
        meet<2 * kWarpgroupSize>(kTurn + 1);
      }
    }
  }
  __device__ void end_turn() const {
    if constexpr (kRowTiles == 2) {
      if (index_ == 0) {
        announce<2 * kWarpgroupSize>(kTurn + 1);
      } else {
        announce<2 * kWarpgroupSize>(kTurn);
      }
    }
  }
  __device__ void start_scores(Scores& scores) {
    const int stage = keys_.stage;
    memory_.keys_full[stage].wait(keys_.parity);
    begin_products();
#pragma unroll
    for (int chunk = 0; chunk < kKeyChunks; ++chunk) {
      const uint64_t left = swizzled_rows(shared_address(&memory_.query[index_][chunk]));
      const uint64_t right = swizzled_rows(shared_address(&memory_.stages[stage].keys[chunk]));
#pragma unroll
      for (int i = 0; i < kSwizzledRow / 32; ++i)
        add_f16_product(scores, left + 2 * i, right + 2 * i, chunk + i > 0);
    }
    end_products();
  }
  __device__ void start_sums(const Weights& weights, Sums& sums) {
    constexpr uint64_t kStep = 16 * kSwizzledRow >> 4;
    const int stage = values_.stage;
    memory_.values_full[stage].wait(values_.parity);
    const uint64_t right =
        swizzled_columns(shared_address(&memory_.stages[stage].values), sizeof(TileColumns));
    begin_products();
#pragma unroll
    for (int i = 0; i < kSteps; ++i) add_f16_register_product(sums, weights[i], right + i * kStep, true);
    end_products();
  }
  __device__ void finish_sums(Weights& weights, Sums& sums) {
    wait_for_products<0>(sums);
#pragma unroll
    for (int i = 0; i < kSteps; ++i) keep_in_place(weights[i]);
    release(memory_.values_empty, values_);
  }
  // The last scores are there.
  __device__ void release_query() {
    __syncwarp();
    if (thread_ % kWarpSize == 0) memory_.query_empty[index_].arrive();
  }
  __device__ void release(Barrier* empty, StagePlace& place) {
    __syncwarp();
    if (thread_ % kWarpSize == 0) empty[place.stage].arrive();
    place.advance(stages_);
  }
  __device__ void skip_tile() {
    begin_turn();
    end_turn();
    memory_.keys_full[keys_.stage].wait(keys_.parity);
    release(memory_.keys_empty, keys_);
    memory_.values_full[values_.stage].wait(values_.parity);
    release(memory_.values_empty, values_);
  }

  // Scores of the tile that begins at `begin` become weights relative to the new maximum; what was there is
  // to be multiplied by `keep`.
  __device__ void weigh(int begin, int position, Scores& scores, float (&keep)[2]) {
    if (begin + kMlaWideTile - 1 > position) hide(begin, position, scores);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float largest = maximum_[half];
#pragma unroll
      for (int i = 2 * half; i < 64; i += 4) largest = fmaxf(largest, fmaxf(scores[i], scores[i + 1]));
      largest = fmaxf(largest, __shfl_xor_sync(kAllLanes, largest, 1));
      largest = fmaxf(largest, __shfl_xor_sync(kAllLanes, largest, 2));
      keep[half] = exp2_near(maximum_[half] - largest);
      maximum_[half] = largest;
      float even = 0.0f, odd = 0.0f;
#pragma unroll
      for (int i = 2 * half; i < 64; i += 4) {
        scores[i] = exp2_near(scores[i] - largest);
        scores[i + 1] = exp2_near(scores[i + 1] - largest);
        even += scores[i];
        odd += scores[i + 1];
      }
      weight_[half] = fmaf(weight_[half], keep[half], even + odd);
    }
  }
  // Positions that a row does not see.
  __device__ void hide(int begin, int position, Scores& scores) const {
    const int upper = position + first_row_of_thread() - begin - thread_ % 4 * 2;
#pragma unroll
    for (int i = 0; i < 64; ++i) {
      if (i / 4 * 8 + i % 2 > upper + i / 2 % 2 * 8) scores[i] = kNoMaximum;
    }
  }
  static __device__ void pack(const Scores& scores, Weights& weights) {
#pragma unroll
    for (int i = 0; i < 32; ++i) weights[i / 4][i % 4] = F16Factor::pack(scores[2 * i], scores[2 * i + 1]);
  }

  __device__ void write(const QueryTile& query, Sums& sums) {
    float share[2];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      weight_[half] += __shfl_xor_sync(kAllLanes, weight_[half], 1);
      weight_[half] += __shfl_xor_sync(kAllLanes, weight_[half], 2);
      share[half] = 1.0f / weight_[half];
    }
#pragma unroll
    for (int i = 0; i < 64; ++i) sums[i] *= share[i / 2 % 2];
    const int64_t first = query.first_row;
    if (fp8_.q != nullptr) return write_fp8(first, query.head, query.rows, sums);
    const TileOutput<float> output = {call_.out + first * call_.out_stride + query.head * kValues,
                               call_.out_stride,
                               query.rows,
                               kValues,
                               nullptr,
                               DType::kF32,
                               0};
    output.write(sums);
  }

  // A head's values are a group. `first` is the warpgroup's first row in the step.
  __device__ void write_fp8(int64_t first, int head, int rows, const Sums& sums) const {
    const int t = thread_ % 4;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float largest = 1e-10f;
#pragma unroll
      for (int i = 2 * half; i < 64; i += 4)
        largest = fmaxf(largest, fmaxf(fabsf(sums[i]), fabsf(sums[i + 1])));
      largest = fmaxf(largest, __shfl_xor_sync(kAllLanes, largest, 1));
      largest = fmaxf(largest, __shfl_xor_sync(kAllLanes, largest, 2));
      const float scale = __fdiv_rn(largest, 448.0f), inverse = __fdiv_rn(1.0f, scale);
      const auto pair_at = [&](int i) {
        return static_cast<uint32_t>(
            f8e4m3_pair(quotient(sums[i], scale, inverse), quotient(sums[i + 1], scale, inverse)));
      };
      uint32_t words[8];
#pragma unroll
      for (int i = 0; i < 8; ++i) words[i] = pair_at(8 * i + 2 * half) | pair_at(8 * i + 4 + 2 * half) << 16;
      const uint4 left = transposed(words[0], words[2], words[4], words[6]);
      const uint4 right = transposed(words[1], words[3], words[5], words[7]);
      const int row = first_row_of_thread() + 8 * half;
      if (row >= rows) continue;
      auto* to = reinterpret_cast<uint4*>(fp8_.q + (first + row) * fp8_.width + head * kValues) + 2 * t;
      to[0] = in_order(left);
      to[1] = in_order(right);
      if (t == 0) fp8_.scale[(first + row) * call_.heads + head] = scale;
    }
  }
  // Words of four lanes that have two columns of one eight in the lower half, of the next in the upper one.
  static __device__ uint4 in_order(const uint4& words) {
    return make_uint4(lower_halves(words.x, words.y), lower_halves(words.z, words.w),
                      upper_halves(words.x, words.y), upper_halves(words.z, words.w));
  }

  const MlaAttentionCall& call_;
  const Fp8RowsOut& fp8_;
  AttendMemory<kRowTiles>& memory_;
  const int stages_;
  const int index_;
  const int thread_;
  StagePlace keys_;
  StagePlace values_;
  float maximum_[2];
  float weight_[2];  // of the lane's own positions
};

template <int kRowTiles>
__global__ void __launch_bounds__(kWarpgroupSize*(1 + kRowTiles), 1)
    attend_tiles_sm90(const __grid_constant__ AttendWork work) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  extern __shared__ __align__(1024) uint8_t shared_bytes[];
  auto& memory = *reinterpret_cast<AttendMemory<kRowTiles>*>(shared_bytes);
  if (threadIdx.x == 0) {
    for (int s = 0; s < kMostStages; ++s) {
      memory.keys_full[s].init(1);
      memory.values_full[s].init(1);
      memory.keys_empty[s].init(TileAttender<kRowTiles>::kArrivals);
      memory.values_empty[s].init(TileAttender<kRowTiles>::kArrivals);
    }
    memory.weights_full.init(1);
    for (int i = 0; i < kRowTiles; ++i) {
      memory.query_full[i].init(QueryBringer<kRowTiles>::kThreads / kWarpSize);
      memory.query_empty[i].init(kWarpgroupSize / kWarpSize);
    }
    publish_barriers();
  }
  __syncthreads();
  const MlaCacheGpu& cache = work.call.cache;
  const bool makes = sum_before(*cache.num_sequences, WideTilesOfSequence{cache}) > work.max_tiles;
  const int stages = makes ? 1 : kMostStages;
  const int warpgroup = __shfl_sync(kAllLanes, static_cast<int>(threadIdx.x) / kWarpgroupSize, 0);
  if (warpgroup == 0) {
    if constexpr (kRowTiles == 2) shrink_registers<88>();
    TileBringer<kRowTiles> bringer(work, memory, stages);
    if (makes) {
      bringer.run_and_make();
    } else if (threadIdx.x < kWarpSize) {
      bringer.run();
    } else {
      QueryBringer<kRowTiles>(work.call, memory).run();
    }
  } else {
    if constexpr (kRowTiles == 2) grow_registers<208>();
    TileAttender<kRowTiles>(work, memory, stages, warpgroup - 1).run();
  }
#endif
}

template <int kRowTiles>
void launch_attend(const AttendWork& work, gpuStream_t stream) {
  constexpr int64_t kRows = kWarpgroupRows * kRowTiles;
  const MlaAttentionCall& call = work.call;
  const int64_t query_tiles = std::min((call.tokens + kRows - 1) / kRows + call.cache.sequences, call.tokens);
  const int64_t blocks = std::min<int64_t>(query_tiles * call.heads, num_multiprocessors());
  launch_kernel_with_shared(attend_tiles_sm90<kRowTiles>, dim3(static_cast<unsigned>(blocks)),
                            dim3(kWarpgroupSize * (1 + kRowTiles)), sizeof(AttendMemory<kRowTiles>), stream,
                            work);
}

}  // namespace musaic
