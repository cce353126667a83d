#pragma once

#include <algorithm>

#include "ops/mla_attention/mla_tiles_sm90.cuh"

// Attention over the tiles. A block has a warpgroup that brings tiles into a ring of stages, or makes those
// that were not made ahead, and one or two that attend with 64 query rows of a head each: while the scores of
// one tile are under way, so are the weighted values of the one before. A row's bits do not depend on how
// many warpgroups there are: of a tile that a row does not see, it adds zeros.
namespace musaic {

inline constexpr int kKeyChunks = 3;  // of 64 values, the last one rotated
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
  uint8_t query[kRowTiles][kKeyChunks][kWarpgroupRows][kSwizzledRow];
  Barrier keys_full[kMostStages], keys_empty[kMostStages];
  Barrier values_full[kMostStages], values_empty[kMostStages];
  Barrier weights_full;
};

struct AttendWork {
  TensorMap kv_b;  // in tiles of kWeightRows
  MlaAttentionCall call;
  Fp8RowsOut fp8;  // without q: float rows, where `call` says
  int max_tiles;
};

// A tile of query rows, of one head.
struct QueryTile {
  int sequence;
  int head;
  int first_row;  // of the sequence's rows in the step
  int rows;       // from there on
  int position;   // of first_row

  // Tiles of positions that the first `count` rows see.
  __device__ int tiles_seen(int count) const {
    return count > 0 ? (position + count - 1) / kMlaWideTile + 1 : 0;
  }
};

// The block's tiles of query rows. A sequence's last ones, which have the most work, come first, and blocks
// take from the next round in opposite order. REQUIRES: whole warps.
template <int kRowTiles>
class QueryTileWalk {
 public:
  static constexpr int kRows = kWarpgroupRows * kRowTiles;

  __device__ explicit QueryTileWalk(const MlaAttentionCall& call)
      : call_(call), sequences_(*call.cache.num_sequences) {}

  __device__ bool next(QueryTile& tile) {
    const int blocks = static_cast<int>(gridDim.x), block = static_cast<int>(blockIdx.x);
    const int index = round_ * blocks + (round_ % 2 == 0 ? block : blocks - 1 - block);
    ++round_;
    const auto count = [this](int sequence) { return (num_rows(call_.cache, sequence) + kRows - 1) / kRows; };
    int within = 0;
    if (!find_counted(sequences_, index / call_.heads, count, &tile.sequence, &within)) return false;
    const int rows = num_rows(call_.cache, tile.sequence);
    tile.head = index % call_.heads;
    tile.first_row = (count(tile.sequence) - 1 - within) * kRows;
    tile.rows = min(rows - tile.first_row, kRows);
    tile.position = call_.cache.kv_lengths[tile.sequence] - rows + tile.first_row;
    return true;
  }

 private:
  const MlaAttentionCall& call_;
  const int sequences_;
  int round_ = 0;
};

// A place in a ring of as many stages as the step's way has.
struct StagePlace {
  int stage = 0;
  uint32_t parity = 0;

  __device__ void advance(int stages) {
    if (++stage == stages) {
      stage = 0;
      parity ^= 1;
    }
  }
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

  // Every tile was made ahead. By one warp.
  __device__ void run() {
    QueryTileWalk<kRowTiles> walk(work_.call);
    for (QueryTile query; walk.next(query);) {
      const int first = first_tile(query);
      for (int tile = 0; tile < query.tiles_seen(query.rows); ++tile) bring(first + tile, query.head);
    }
  }
  // The others are made. By the whole warpgroup.
  __device__ void run_and_make() {
    QueryTileWalk<kRowTiles> walk(work_.call);
    for (QueryTile query; walk.next(query);) {
      const int first = first_tile(query);
      for (int tile = 0; tile < query.tiles_seen(query.rows); ++tile) {
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
    QueryTileWalk<kRowTiles> walk(call_);
    QueryTile query;
    bool is_there = walk.next(query);
    if (is_there) load_query(query);  // the kernel before this one has not made it
    wait_for_previous_kernel();
    while (is_there) {
      attend(query);
      is_there = walk.next(query);
      if (is_there) load_query(query);
    }
  }

 private:
  static constexpr int kSteps = kMlaWideTile / 16;  // of positions
  static constexpr int kValues = 128;
  using Scores = float[64];
  using Sums = float[64];
  using Weights = uint32_t[kSteps][4];

  // Rows of the tile before the warpgroup's.
  __device__ int rows_before() const { return index_ * kWarpgroupRows; }
  __device__ void meet_warpgroup() const {
    // Numbers are constants.
    if (index_ == 0) {
      meet<kWarpgroupSize>(2);
    } else {
      meet<kWarpgroupSize>(3);
    }
  }

  // Rows that are not there become zeros.
  __device__ void load_query(const QueryTile& query) {
    constexpr int kUnits = 8 * kKeyChunks;  // of eight values, of a row
    constexpr int kAtOnce = 6, kBatches = kWarpgroupRows * kUnits / kWarpgroupSize / kAtOnce;
    const int rows = query.rows - rows_before();
    const int64_t first = int64_t{call_.cache.query_start[query.sequence]} + query.first_row + rows_before();
    const float* from = call_.query + first * call_.query_stride + query.head * (8 * kUnits);
    meet_warpgroup();  // nobody reads the query before this one
#pragma unroll
    for (int batch = 0; batch < kBatches; ++batch) {
      float4 eights[kAtOnce][2];
#pragma unroll
      for (int i = 0; i < kAtOnce; ++i) {
        const int index = thread_ + (batch * kAtOnce + i) * kWarpgroupSize;
        const int row = index / kUnits, unit = index % kUnits;
        const auto* values = reinterpret_cast<const float4*>(from + row * call_.query_stride) + 2 * unit;
        eights[i][0] = row < rows ? values[0] : make_float4(0, 0, 0, 0);
        eights[i][1] = row < rows ? values[1] : make_float4(0, 0, 0, 0);
      }
#pragma unroll
      for (int i = 0; i < kAtOnce; ++i) {
        const int index = thread_ + (batch * kAtOnce + i) * kWarpgroupSize;
        const int row = index / kUnits, unit = index % kUnits;
        uint8_t* to = &memory_.query[index_][unit / 8][0][0] + swizzled_offset(row, unit % 8);
        const float4 &a = eights[i][0], &b = eights[i][1];
        const float scale = call_.scale;
        *reinterpret_cast<uint4*>(to) =
            make_uint4(F16Factor::pack(a.x * scale, a.y * scale), F16Factor::pack(a.z * scale, a.w * scale),
                       F16Factor::pack(b.x * scale, b.y * scale), F16Factor::pack(b.z * scale, b.w * scale));
      }
    }
    publish_to_matrix_units();
    meet_warpgroup();
  }

  __device__ void attend(const QueryTile& query) {
    const int rows = query.rows - rows_before();
    const int tiles = rows > 0 ? query.tiles_seen(min(query.rows, rows_before() + kWarpgroupRows)) : 0;
    if (tiles > 0) {
      maximum_[0] = maximum_[1] = kNoMaximum;
      weight_[0] = weight_[1] = 0.0f;
      Sums sums;
      add_tiles(query.position + rows_before(), tiles, sums);
      write(query, rows, sums);
    }
    for (int tile = tiles; tile < query.tiles_seen(query.rows); ++tile) skip_tile();
  }

  // `position` is that of the warpgroup's first row.
  __device__ void add_tiles(int position, int tiles, Sums& sums) {
    Scores scores;
    Weights weights;
    float keep[2];
#pragma unroll
    for (int i = 0; i < 64; ++i) sums[i] = 0.0f;
    start_scores(scores);
    wait_for_products<0>(scores);
    release(memory_.keys_empty, keys_);
    weigh(0, position, scores, keep);
    pack(scores, weights);
#pragma unroll 1
    for (int tile = 1; tile < tiles; ++tile) {
      start_scores(scores);
      start_sums(weights, sums);
      wait_for_products<1>(scores);
      release(memory_.keys_empty, keys_);
      weigh(tile * kMlaWideTile, position, scores, keep);
      finish_sums(weights, sums);
#pragma unroll
      for (int i = 0; i < 64; ++i) sums[i] *= keep[i / 2 % 2];
      pack(scores, weights);
    }
    start_sums(weights, sums);
    finish_sums(weights, sums);
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
  __device__ void release(Barrier* empty, StagePlace& place) {
    __syncwarp();
    if (thread_ % kWarpSize == 0) empty[place.stage].arrive();
    place.advance(stages_);
  }
  __device__ void skip_tile() {
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

  __device__ void write(const QueryTile& query, int rows, Sums& sums) {
    float share[2];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      weight_[half] += __shfl_xor_sync(kAllLanes, weight_[half], 1);
      weight_[half] += __shfl_xor_sync(kAllLanes, weight_[half], 2);
      share[half] = 1.0f / weight_[half];
    }
#pragma unroll
    for (int i = 0; i < 64; ++i) sums[i] *= share[i / 2 % 2];
    const int64_t first = int64_t{call_.cache.query_start[query.sequence]} + query.first_row + rows_before();
    if (fp8_.q != nullptr) return write_fp8(first, query.head, rows, sums);
    const TileOutput output = {call_.out + first * call_.out_stride + query.head * kValues,
                               call_.out_stride,
                               rows,
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
    publish_barriers();
  }
  __syncthreads();
  const MlaCacheGpu& cache = work.call.cache;
  const bool makes = sum_before(*cache.num_sequences, WideTilesOfSequence{cache}) > work.max_tiles;
  const int stages = makes ? 1 : kMostStages;
  const int warpgroup = __shfl_sync(kAllLanes, static_cast<int>(threadIdx.x) / kWarpgroupSize, 0);
  if (warpgroup == 0) {
    if constexpr (kRowTiles == 2) shrink_registers<88>();
    wait_for_previous_kernel();
    TileBringer<kRowTiles> bringer(work, memory, stages);
    if (makes) {
      bringer.run_and_make();
    } else if (threadIdx.x < kWarpSize) {
      bringer.run();
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
