#include "gpu_copy.cuh"
#include "gpu_launch.cuh"
#include "ops/mla_attention/mla_tiles.cuh"

// Expanded attention by matrix units: keys and values of the tiles first, then a block of threads for 64
// query rows of a head, sixteen a warp, over the tiles from position 0 on.
namespace musaic {
namespace {

constexpr int kExpandThreads = 256;
constexpr int kWarps = kMlaQueryTile / 16;
constexpr int kThreads = 32 * kWarps;
constexpr int kHeadDim = 192, kValueDim = 128;
constexpr int kStages = 2;

// What is made ahead, and where a block keeps a tile that is not.
struct ExpandedTiles {
  int max_tiles;

  __device__ uint4* tile(const MlaAttentionCall& call, int64_t index, int head) const {
    constexpr int64_t kUnits = kMlaTileBytes / 16;
    return reinterpret_cast<uint4*>(call.workspace) + (index * call.heads + head) * kUnits;
  }
  __device__ uint4* own_tile(const MlaAttentionCall& call) const {
    return tile(call, max_tiles + static_cast<int64_t>(blockIdx.y), static_cast<int>(blockIdx.x));
  }
};

// Blocks share tiles times heads evenly; a block loads a tile's latents once for the heads that it has of it.
template <DType kType>
__global__ void __launch_bounds__(kExpandThreads, 1)
    expand_tiles(MlaAttentionCall call, ExpandedTiles expanded) {
  extern __shared__ __align__(16) uint8_t shared_bytes[];
  TileLatents& latents = *reinterpret_cast<TileLatents*>(shared_bytes);
  wait_for_previous_kernel();
  const MlaCacheGpu& cache = call.cache;
  const TilesOfSequence count = {cache};
  const int sequences = *cache.num_sequences;
  const int tiles = min(expanded.max_tiles, sum_before(sequences, count));
  const int64_t items = static_cast<int64_t>(tiles) * call.heads;
  const int64_t first = items * blockIdx.x / gridDim.x, last = items * (blockIdx.x + 1) / gridDim.x;
  int loaded = -1;
  for (int64_t item = first; item < last; ++item) {
    const int tile = static_cast<int>(item / call.heads), head = static_cast<int>(item % call.heads);
    if (tile != loaded) {
      int sequence = 0, within = 0;
      find_counted(sequences, tile, count, &sequence, &within);
      __syncthreads();
      load_latents<kExpandThreads>(call, sequence, within * kMlaTile, cache.kv_lengths[sequence], latents);
      __syncthreads();
      loaded = tile;
    }
    expand_head<kType, kExpandThreads / 32>(call.kv_b, head, latents, expanded.tile(call, tile, head));
  }
}

union AttendMemory {
  uint4 stages[kStages][kMlaTile][kExpandedUnits];
  TileLatents latents;
};

// A tile that was not made ahead. A call of its own, so that the usual way keeps its registers.
template <DType kType>
__device__ __noinline__ void make_tile(MlaAttentionCall call, int sequence, int tile, uint4* to,
                                       AttendMemory& memory) {
  load_latents<kThreads>(call, sequence, tile * kMlaTile, call.cache.kv_lengths[sequence], memory.latents);
  __syncthreads();
  expand_head<kType, kWarps>(call.kv_b, static_cast<int>(blockIdx.x), memory.latents, to);
  __syncthreads();
}

// Where the tiles come from that one block needs.
template <DType kType>
class TileSource {
 public:
  __device__ TileSource(const MlaAttentionCall& call, const ExpandedTiles& expanded, int sequence,
                        AttendMemory& memory)
      : call_(call),
        expanded_(expanded),
        memory_(memory),
        sequence_(sequence),
        first_tile_(sum_before(sequence, TilesOfSequence{call.cache})) {}

  // The sequence's tiles that were made ahead.
  __device__ int num_ahead() const { return max(0, expanded_.max_tiles - first_tile_); }
  // Starts to bring a tile that was made ahead.
  __device__ void start(int tile, int stage) const {
    copy(expanded_.tile(call_, first_tile_ + tile, static_cast<int>(blockIdx.x)), stage);
  }
  // Makes a tile and brings it. REQUIRES: every thread of the block; no stage is in use or on its way.
  __device__ void make(int tile, int stage) const {
    make_tile<kType>(call_, sequence_, tile, expanded_.own_tile(call_), memory_);
    copy(expanded_.own_tile(call_), stage);
  }

 private:
  __device__ void copy(const uint4* from, int stage) const {
#pragma unroll 4
    for (int i = threadIdx.x; i < kMlaTile * kExpandedUnits; i += kThreads) {
      const int row = i / kExpandedUnits, unit = i % kExpandedUnits;
      start_copy(&memory_.stages[stage][row][unit ^ unit_exchange(row)], from + i, true);
    }
  }

  const MlaAttentionCall& call_;
  const ExpandedTiles& expanded_;
  AttendMemory& memory_;
  int sequence_;
  int first_tile_;
};

// A warp's sixteen rows. A lane has rows g and g + 8.
struct QueryRows {
  uint32_t words[kHeadDim / 32][2][4];  // times scale
  int position[2];                      // -1: no row
  int64_t token[2];

  __device__ void load(const MlaAttentionCall& call, int sequence, int first_row, int head,
                       const MatrixLane& lane) {
    const int rows = num_rows(call.cache, sequence);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int row = first_row + 16 * lane.warp + lane.g + 8 * half;
      token[half] = call.cache.query_start[sequence] + row;
      position[half] = row < rows ? call.cache.kv_lengths[sequence] - rows + row : -1;
      const float4* from = reinterpret_cast<const float4*>(call.query + token[half] * call.query_stride +
                                                           static_cast<int64_t>(head) * kHeadDim) +
                           2 * lane.t;
#pragma unroll
      for (int i = 0; i < kHeadDim / 16; ++i) {
        float4 four = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
        if (row < rows) four = from[i / 2 * 8 + i % 2];
        words[i / 2][i % 2][half] = F16Factor::pack(four.x * call.scale, four.y * call.scale);
        words[i / 2][i % 2][half + 2] = F16Factor::pack(four.z * call.scale, four.w * call.scale);
      }
    }
  }
};

// The softmax so far of a warp's rows: column c of product i of half h is value 64h + 8c + i.
struct WarpSoftmax {
  float sums[2][8][4] = {};
  float maximum[2] = {kNoMaximum, kNoMaximum};
  float weight[2] = {};  // of the lane's own positions

  using Scores = float[kMlaTile / 8][4];

  __device__ void add_tile(const uint4 (&tile)[kMlaTile][kExpandedUnits], int begin, const QueryRows& query,
                           const MatrixLane& lane) {
    Scores scores;
    score(tile, query, lane, scores);
    if (begin + kMlaTile - 1 > query.position[0] || query.position[1] < 0) hide(begin, query, lane, scores);
    weigh(scores);
    add_values(tile, lane, scores);
  }
  __device__ void write(const MlaAttentionCall& call, int head, const QueryRows& query,
                        const MatrixLane& lane) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      weight[half] += __shfl_xor_sync(kAllLanes, weight[half], 1);
      weight[half] += __shfl_xor_sync(kAllLanes, weight[half], 2);
      if (query.position[half] < 0) continue;
      const float share = 1.0f / weight[half];
      float* out = call.out + query.token[half] * call.out_stride + head * kValueDim + 16 * lane.t;
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        const int h = i / 4, j = 2 * half + i / 2 % 2, first = i % 2 * 4;
        reinterpret_cast<float4*>(out + h * 64 + i / 2 % 2 * 8 + first)[0] =
            make_float4(sums[h][first][j] * share, sums[h][first + 1][j] * share,
                        sums[h][first + 2][j] * share, sums[h][first + 3][j] * share);
      }
    }
  }

 private:
  static __device__ void score(const uint4 (&tile)[kMlaTile][kExpandedUnits], const QueryRows& query,
                               const MatrixLane& lane, Scores& scores) {
    const int exchange = unit_exchange(lane.g);
#pragma unroll
    for (int i = 0; i < kMlaTile / 8; ++i) {
#pragma unroll
      for (int j = 0; j < 4; ++j) scores[i][j] = 0.0f;
    }
#pragma unroll
    for (int c = 0; c < kHeadDim / 32; ++c) {
      uint4 keys[kMlaTile / 8];
#pragma unroll
      for (int i = 0; i < kMlaTile / 8; ++i) keys[i] = tile[8 * i + lane.g][(4 * c + lane.t) ^ exchange];
#pragma unroll
      for (int step = 0; step < 2; ++step) {  // neighbouring products have different sums
#pragma unroll
        for (int i = 0; i < kMlaTile / 8; ++i) {
          const uint32_t right[2] = {step == 0 ? keys[i].x : keys[i].z, step == 0 ? keys[i].y : keys[i].w};
          F16Product::add_unordered(scores[i], query.words[c][step], right);
        }
      }
    }
#pragma unroll
    for (int i = 0; i < kMlaTile / 8; ++i) F16Product::order(scores[i]);
  }
  // Positions that a row does not see.
  static __device__ void hide(int begin, const QueryRows& query, const MatrixLane& lane, Scores& scores) {
#pragma unroll
    for (int i = 0; i < kMlaTile / 8; ++i) {
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        if (begin + 8 * i + 2 * lane.t + j % 2 > query.position[j / 2]) scores[i][j] = kNoMaximum;
      }
    }
  }
  // Scores become weights relative to the new maximum.
  __device__ void weigh(Scores& scores) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float largest = maximum[half];
#pragma unroll
      for (int i = 0; i < kMlaTile / 8; ++i)
        largest = fmaxf(largest, fmaxf(scores[i][2 * half], scores[i][2 * half + 1]));
      largest = fmaxf(largest, __shfl_xor_sync(kAllLanes, largest, 1));
      largest = fmaxf(largest, __shfl_xor_sync(kAllLanes, largest, 2));
      const float keep = exp2f(maximum[half] - largest);
      maximum[half] = largest;
      weight[half] *= keep;
#pragma unroll
      for (int i = 0; i < kMlaTile / 8; ++i) {
#pragma unroll
        for (int j = 2 * half; j < 2 * half + 2; ++j) {
          scores[i][j] = exp2f(scores[i][j] - largest);
          weight[half] += scores[i][j];
        }
      }
#pragma unroll
      for (int i = 0; i < 16; ++i) {
        sums[i / 8][i % 8][2 * half] *= keep;
        sums[i / 8][i % 8][2 * half + 1] *= keep;
      }
    }
  }
  __device__ void add_values(const uint4 (&tile)[kMlaTile][kExpandedUnits], const MatrixLane& lane,
                             const Scores& weights) {
#pragma unroll
    for (int step = 0; step < kMlaTile / 16; ++step) {
      uint32_t left[4];
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const float* pair = &weights[2 * step + i / 2][i % 2 * 2];
        left[i] = F16Factor::pack(pair[0], pair[1]);
      }
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        uint32_t rows[4][4];
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const int row = 16 * step + 2 * lane.t + i % 2 + i / 2 * 8;
          const uint4 unit = tile[row][(kKeyUnits + 8 * h + lane.g) ^ unit_exchange(row)];
          rows[i][0] = unit.x, rows[i][1] = unit.y, rows[i][2] = unit.z, rows[i][3] = unit.w;
        }
#pragma unroll
        for (int i = 0; i < 8; i += 2) {
          const uint32_t even[2] = {lower_halves(rows[0][i / 2], rows[1][i / 2]),
                                    lower_halves(rows[2][i / 2], rows[3][i / 2])};
          const uint32_t odd[2] = {upper_halves(rows[0][i / 2], rows[1][i / 2]),
                                   upper_halves(rows[2][i / 2], rows[3][i / 2])};
          F16Product::add(sums[h][i], left, even);
          F16Product::add(sums[h][i + 1], left, odd);
        }
      }
    }
  }
};

// blockIdx.x is a head, blockIdx.y a tile of query rows: a sequence's last one, which has the most work,
// first.
// Blocks that see tiles which were not made ahead are those of kMakes: they need more registers.
template <DType kType, bool kMakes>
__global__ void __launch_bounds__(kThreads, 2) attend_rows(MlaAttentionCall call, ExpandedTiles expanded) {
  extern __shared__ __align__(16) uint8_t shared_bytes[];
  AttendMemory& memory = *reinterpret_cast<AttendMemory*>(shared_bytes);
  wait_for_previous_kernel();
  const auto query_tiles = [&call](int sequence) {
    return (num_rows(call.cache, sequence) + kMlaQueryTile - 1) / kMlaQueryTile;
  };
  int sequence = 0, within = 0;
  if (!find_counted(*call.cache.num_sequences, static_cast<int>(blockIdx.y), query_tiles, &sequence, &within))
    return;
  const int first_row = (query_tiles(sequence) - 1 - within) * kMlaQueryTile;
  const int rows = num_rows(call.cache, sequence);
  const int last_row = min(first_row + kMlaQueryTile, rows) - 1;
  const int last_tile = (call.cache.kv_lengths[sequence] - rows + last_row) / kMlaTile;
  const TileSource<kType> source(call, expanded, sequence, memory);
  const int head = static_cast<int>(blockIdx.x);
  const MatrixLane lane;

  const int num_ahead = min(source.num_ahead(), last_tile + 1);
  if (kMakes != (num_ahead <= last_tile)) return;
  if (num_ahead > 0) source.start(0, 0);
  end_batch();
  QueryRows query;
  query.load(call, sequence, first_row, head, lane);
  WarpSoftmax softmax;
  for (int tile = 0; tile < num_ahead; ++tile) {
    const int stage = tile % kStages;
    __syncthreads();
    if (tile + 1 < num_ahead) source.start(tile + 1, stage ^ 1);
    end_batch();
    wait_for_batches<1>();
    __syncthreads();
    softmax.add_tile(memory.stages[stage], tile * kMlaTile, query, lane);
  }
  for (int tile = num_ahead; kMakes && tile <= last_tile; ++tile) {
    wait_for_batches<0>();
    __syncthreads();
    if constexpr (kMakes) source.make(tile, 0);
    end_batch();
    wait_for_batches<0>();
    __syncthreads();
    softmax.add_tile(memory.stages[0], tile * kMlaTile, query, lane);
  }
  softmax.write(call, head, query, lane);
}

template <DType kType>
void launch_type(const MlaAttentionCall& call, int max_tiles, int max_query_tiles, gpuStream_t stream) {
  const ExpandedTiles expanded = {max_tiles};
  const unsigned blocks = static_cast<unsigned>(num_multiprocessors());
  launch_kernel_with_shared(expand_tiles<kType>, dim3(blocks), kExpandThreads, sizeof(TileLatents), stream,
                            call, expanded);
  const dim3 grid(static_cast<unsigned>(call.heads), static_cast<unsigned>(max_query_tiles));
  launch_kernel_with_shared(attend_rows<kType, false>, grid, kThreads, sizeof(AttendMemory), stream, call,
                            expanded);
  const int64_t positions = call.cache.max_pages * call.cache.page_size;
  if (call.cache.sequences * ((positions + kMlaTile - 1) / kMlaTile) <= max_tiles) return;
  launch_kernel_with_shared(attend_rows<kType, true>, grid, kThreads, sizeof(AttendMemory), stream, call,
                            expanded);
}

}  // namespace

void launch_expanded_matrix(const MlaAttentionCall& call, int max_tiles, int max_query_tiles,
                            gpuStream_t stream) {
  if (max_query_tiles == 0) return;
  if (call.kv_b.dtype == DType::kF8E4M3)
    return launch_type<DType::kF8E4M3>(call, max_tiles, max_query_tiles, stream);
  launch_type<DType::kBF16>(call, max_tiles, max_query_tiles, stream);
}

}  // namespace musaic
