#include "gpu_copy.cuh"
#include "gpu_launch.cuh"
#include "ops/mla_attention/head_softmax.cuh"
#include "ops/mla_attention/kv_b_gpu.cuh"
#include "ops/mla_attention/matrix_factor.cuh"
#include "ops/mla_attention/mla_rows.cuh"
#include "ops/per_token_group_quant/group_of_128_gpu.cuh"

// Absorbed attention by matrix units: sixteen heads of a row are the rows of the products. Query and weights
// are split into two factors; the cached values are exact. A warp has two or three chunks of 32 values of the
// scores' sums and 64 of the results' columns.
namespace musaic {
namespace {

constexpr int kWarps = 8;
constexpr int kThreads = 32 * kWarps;
constexpr int kRank = kMlaMatrixRank, kWidth = kMlaMatrixWidth, kHeads = kMlaHeadsAtOnce, kTile = kMlaTile;
constexpr int kUnits = kWidth / 8;  // of 16 bytes, in a row
constexpr int kChunks = kWidth / 32;
constexpr int kChunksOfWarp = (kChunks + kWarps - 1) / kWarps;
constexpr int kStages = 2;
constexpr int kFewTiles = 8;  // that are spread as far as they can be
constexpr int kMergeParts = 4;
constexpr int kMergeThreads = kMergeParts * kRank / 4;

struct SpanMemory {
  uint4 latents[kStages][kTile][kUnits];
  float scores[kWarps][kHeads][kTile + 8];
  uint32_t weights[kFactorParts][kHeads][kTile / 2 + 4];
  float keep[kHeads];
  int first_item[kMlaRowsAtOnce + 1];
  MlaRow rows[kMlaRowsAtOnce];
};

// How a row that sees so many positions is cut.
struct SpanCut {
  int positions;  // of a span
  int spans;

  static __device__ SpanCut of(int seen) {
    const int tiles = (seen + kTile - 1) / kTile;
    const int tiles_a_span = max(tiles <= kFewTiles ? 1 : 2, (tiles + kMlaMaxSpans - 1) / kMlaMaxSpans);
    return {tiles_a_span * kTile, (tiles + tiles_a_span - 1) / tiles_a_span};
  }
};

// The rows that are computed at once, and where what their spans leave is kept: per row, group of heads and
// span first [heads, rank] sums, and behind all of those [heads] maxima and weights.
struct RowBatch {
  int64_t first_token;
  int max_spans;

  __device__ int64_t index(const MlaAttentionCall& call, int row, int group, int span) const {
    return (static_cast<int64_t>(row) * (call.heads / kHeads) + group) * max_spans + span;
  }
  __device__ float* sums(const MlaAttentionCall& call, int64_t index) const {
    return reinterpret_cast<float*>(call.workspace) + index * kHeads * kRank;
  }
  __device__ float2* states(const MlaAttentionCall& call, int64_t index) const {
    const int64_t rows = min(static_cast<int64_t>(kMlaRowsAtOnce), call.tokens);
    const int64_t behind = rows * (call.heads / kHeads) * max_spans;
    return reinterpret_cast<float2*>(sums(call, behind)) + index * kHeads;
  }
};

// The spans of a batch are items, row after row. REQUIRES: called by one warp.
__device__ void number_items(const MlaAttentionCall& call, const RowBatch& batch, SpanMemory& memory) {
  const int lane = static_cast<int>(threadIdx.x);
  int spans[2];
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    MlaRow row;
    const int64_t token = batch.first_token + 2 * lane + i;
    if (token >= call.tokens || !find_row(call.cache, token, &row)) row = {};
    memory.rows[2 * lane + i] = row;
    spans[i] = SpanCut::of(row.seen).spans;
  }
  int up_to_mine = spans[0] + spans[1];
  for (int distance = 1; distance < kWarpSize; distance *= 2) {
    const int below = __shfl_up_sync(kAllLanes, up_to_mine, distance);
    if (lane >= distance) up_to_mine += below;
  }
  memory.first_item[2 * lane + 1] = up_to_mine - spans[1];
  memory.first_item[2 * lane + 2] = up_to_mine;
  if (lane == 0) memory.first_item[0] = 0;
}

// The tiles of items [first, last), one after the other.
struct TileWalk {
  int item;
  int last;
  int row = 0;             // of the batch
  int span = 0;            // of the row
  int begin = 0, end = 0;  // positions that are left of the span

  __device__ TileWalk(const SpanMemory& memory, int first_item, int last_item)
      : item(first_item), last(last_item) {
    open(memory);
  }
  __device__ bool is_done() const { return item >= last; }
  __device__ bool ends_span() const { return begin + kTile >= end; }
  __device__ void advance(const SpanMemory& memory) {
    begin += kTile;
    if (begin < end) return;
    ++item;
    open(memory);
  }

 private:
  __device__ void open(const SpanMemory& memory) {
    if (is_done()) return;
    while (memory.first_item[row + 1] <= item) ++row;
    span = item - memory.first_item[row];
    const int seen = memory.rows[row].seen;
    const SpanCut cut = SpanCut::of(seen);
    begin = span * cut.positions;
    end = min(seen, begin + cut.positions);
  }
};

// Starts to bring a tile; zeros where a span ends.
__device__ void start_tile(const MlaAttentionCall& call, const SpanMemory& memory, const TileWalk& walk,
                           uint4 (&to)[kTile][kUnits]) {
  constexpr int kThreadsOfRow = kThreads / kTile;
  const int row = static_cast<int>(threadIdx.x) / kThreadsOfRow;
  const int first = static_cast<int>(threadIdx.x) % kThreadsOfRow;
  const int position = walk.begin + row;
  const bool is_there = position < walk.end;
  const int64_t at = is_there ? cached_row(call.cache, memory.rows[walk.row].sequence, position) : 0;
  const uint8_t* from = call.cache.data + 2 * at;
#pragma unroll
  for (int i = 0; i < kUnits / kThreadsOfRow; ++i) {
    const int unit = first + i * kThreadsOfRow;
    start_copy(&to[row][unit ^ unit_exchange(row)], from + 16 * unit, is_there);
  }
}

// A warp's part of the query, times scale.
template <class Factor>
struct QueryPart {
  uint32_t words[kChunksOfWarp][2][kFactorParts][4];

  __device__ void load(const MlaAttentionCall& call, int64_t token, int group, const MatrixLane& lane) {
#pragma unroll
    for (int c = 0; c < kChunksOfWarp; ++c) {
      const int chunk = lane.warp + c * kWarps;
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int head = group * kHeads + lane.g + 8 * half;
        const float4* from = reinterpret_cast<const float4*>(call.query + token * call.query_stride +
                                                             static_cast<int64_t>(head) * kWidth +
                                                             min(chunk, kChunks - 1) * 32) +
                             2 * lane.t;
#pragma unroll
        for (int step = 0; step < 2; ++step) {
          const float4 four = from[step];
          uint32_t parts[2][kFactorParts];
          split_pair<Factor>(four.x * call.scale, four.y * call.scale, parts[0]);
          split_pair<Factor>(four.z * call.scale, four.w * call.scale, parts[1]);
#pragma unroll
          for (int part = 0; part < kFactorParts; ++part) {
            words[c][step][part][half] = parts[0][part];
            words[c][step][part][half + 2] = parts[1][part];
          }
        }
      }
    }
  }
};

// The warp's share of the tile's scores.
template <class Factor>
__device__ void score_tile(const uint4 (&latents)[kTile][kUnits], const QueryPart<Factor>& query,
                           const MatrixLane& lane, float (&scores)[kHeads][kTile + 8]) {
  const int exchange = unit_exchange(lane.g);
  float sums[kTile / 8][4] = {};
#pragma unroll
  for (int c = 0; c < kChunksOfWarp; ++c) {
    const int chunk = lane.warp + c * kWarps;
    if (chunk >= kChunks) break;
    uint4 keys[kTile / 8];
#pragma unroll
    for (int i = 0; i < kTile / 8; ++i) keys[i] = latents[8 * i + lane.g][(4 * chunk + lane.t) ^ exchange];
#pragma unroll
    for (int k = 0; k < 2 * kFactorParts; ++k) {  // neighbouring products have different sums
      const int step = k / kFactorParts, part = kFactorParts - 1 - k % kFactorParts;
#pragma unroll
      for (int i = 0; i < kTile / 8; ++i) {
        const uint32_t right[2] = {step == 0 ? keys[i].x : keys[i].z, step == 0 ? keys[i].y : keys[i].w};
        Factor::Product::add_unordered(sums[i], query.words[c][step][part], right);
      }
    }
  }
#pragma unroll
  for (int i = 0; i < kTile / 8; ++i) {
    Factor::Product::order(sums[i]);
    const int column = 8 * i + 2 * lane.t;
    *reinterpret_cast<float2*>(&scores[lane.g][column]) = make_float2(sums[i][0], sums[i][1]);
    *reinterpret_cast<float2*>(&scores[lane.g + 8][column]) = make_float2(sums[i][2], sums[i][3]);
  }
}

struct HeadState : HeadSoftmax {
  // The tile's scores in memory become weights, as two factors.
  template <class Factor>
  __device__ void weigh_tile(SpanMemory& memory, int count) {
    float scores[4];
    take(memory.scores, scores);
    const float keep = weigh(scores, count, [](float x) { return exp2f(x); });
    if (part() == 0) memory.keep[head()] = keep;
    uint32_t pairs[2][kFactorParts];
    split_pair<Factor>(scores[0], scores[1], pairs[0]);
    split_pair<Factor>(scores[2], scores[3], pairs[1]);
#pragma unroll
    for (int p = 0; p < kFactorParts; ++p)
      *reinterpret_cast<uint2*>(&memory.weights[p][head()][2 * part()]) =
          make_uint2(pairs[0][p], pairs[1][p]);
  }
};

// The warp's columns of the results: of product i, column c is 64 · warp + 8c + i.
struct ResultPart {
  float sums[8][4];

  __device__ void clear() {
#pragma unroll
    for (int i = 0; i < 8; ++i) {
#pragma unroll
      for (int j = 0; j < 4; ++j) sums[i][j] = 0.0f;
    }
  }
  template <class Factor>
  __device__ void add_tile(const SpanMemory& memory, const uint4 (&latents)[kTile][kUnits],
                           const MatrixLane& lane) {
    const float keep[2] = {memory.keep[lane.g], memory.keep[lane.g + 8]};
#pragma unroll
    for (int i = 0; i < 8; ++i) {
#pragma unroll
      for (int j = 0; j < 4; ++j) sums[i][j] *= keep[j / 2];
    }
#pragma unroll
    for (int step = 0; step < kTile / 16; ++step) {
      uint32_t left[kFactorParts][4];
#pragma unroll
      for (int p = 0; p < kFactorParts; ++p) {
#pragma unroll
        for (int i = 0; i < 4; ++i)
          left[p][i] = memory.weights[p][lane.g + i % 2 * 8][8 * step + lane.t + i / 2 * 4];
      }
      uint32_t rows[4][4];
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int row = 16 * step + 2 * lane.t + i % 2 + i / 2 * 8;
        const uint4 unit = latents[row][(8 * lane.warp + lane.g) ^ unit_exchange(row)];
        rows[i][0] = unit.x, rows[i][1] = unit.y, rows[i][2] = unit.z, rows[i][3] = unit.w;
      }
#pragma unroll
      for (int part = kFactorParts - 1; part >= 0; --part) {
#pragma unroll
        for (int i = 0; i < 8; i += 2) {
          const uint32_t even[2] = {lower_halves(rows[0][i / 2], rows[1][i / 2]),
                                    lower_halves(rows[2][i / 2], rows[3][i / 2])};
          const uint32_t odd[2] = {upper_halves(rows[0][i / 2], rows[1][i / 2]),
                                   upper_halves(rows[2][i / 2], rows[3][i / 2])};
          Factor::Product::add(sums[i], left[part], even);
          Factor::Product::add(sums[i + 1], left[part], odd);
        }
      }
    }
  }
  __device__ void write(float* to, const MatrixLane& lane) const {
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      float4* columns = reinterpret_cast<float4*>(to + (lane.g + j / 2 * 8) * kRank + 64 * lane.warp +
                                                  16 * lane.t + j % 2 * 8);
      columns[0] = make_float4(sums[0][j], sums[1][j], sums[2][j], sums[3][j]);
      columns[1] = make_float4(sums[4][j], sums[5][j], sums[6][j], sums[7][j]);
    }
  }
};

// Blocks share the items of a batch evenly; blockIdx.y is a group of heads.
template <class Factor>
__global__ void __launch_bounds__(kThreads, 1) attend_spans(MlaAttentionCall call, RowBatch batch) {
  extern __shared__ __align__(16) uint8_t shared_bytes[];
  SpanMemory& memory = *reinterpret_cast<SpanMemory*>(shared_bytes);
  const MatrixLane lane;
  const int group = static_cast<int>(blockIdx.y);
  // All of this is known before the previous kernel, which makes the query, has ended.
  if (lane.warp == 0) number_items(call, batch, memory);
  __syncthreads();
  const int64_t items = memory.first_item[kMlaRowsAtOnce];
  const int first = static_cast<int>(items * blockIdx.x / gridDim.x);
  const int last = static_cast<int>(items * (blockIdx.x + 1) / gridDim.x);
  if (first == last) return wait_for_previous_kernel();

  TileWalk ahead(memory, first, last), walk = ahead;
  for (int stage = 0; stage < kStages; ++stage) {
    if (!ahead.is_done()) {
      start_tile(call, memory, ahead, memory.latents[stage]);
      ahead.advance(memory);
    }
    end_batch();
  }
  wait_for_previous_kernel();
  QueryPart<Factor> query;
  ResultPart result;
  HeadState state;
  result.clear();
  int row_of_query = -1;
  for (int stage = 0; !walk.is_done(); stage ^= 1) {
    if (walk.row != row_of_query) {
      query.load(call, batch.first_token + walk.row, group, lane);
      row_of_query = walk.row;
    }
    wait_for_batches<kStages - 1>();
    __syncthreads();
    score_tile(memory.latents[stage], query, lane, memory.scores[lane.warp]);
    __syncthreads();
    state.weigh_tile<Factor>(memory, walk.end - walk.begin);
    __syncthreads();
    result.add_tile<Factor>(memory, memory.latents[stage], lane);
    __syncthreads();
    if (!ahead.is_done()) {
      start_tile(call, memory, ahead, memory.latents[stage]);
      ahead.advance(memory);
    }
    end_batch();
    if (walk.ends_span()) {
      const int64_t index = batch.index(call, walk.row, group, walk.span);
      result.write(batch.sums(call, index), lane);
      constexpr int kThreadsOfHead = HeadState::kThreadsOfHead;
      if (threadIdx.x % kThreadsOfHead == 0)
        batch.states(call, index)[threadIdx.x / kThreadsOfHead] = make_float2(state.maximum, state.weight);
      result.clear();
      state = HeadState();
    }
    walk.advance(memory);
  }
}

struct MergeMemory {
  float2 states[kMlaMaxSpans];
  float4 totals[kMergeParts][kRank / 4];
};

// Four columns of a head's result.
struct MergedColumns {
  bool is_mine;  // of a thread's part of the block, only the first has them
  int column;
  float4 values;
};

// A block a row and head: every kMergeParts-th span a part of the threads, four columns a thread. REQUIRES:
// every thread of the block takes part.
__device__ MergedColumns merge_head(const MlaAttentionCall& call, const RowBatch& batch, const MlaRow& row,
                                    MergeMemory& memory) {
  constexpr int kMaxSpansOfPart = kMlaMaxSpans / kMergeParts;
  const int head = static_cast<int>(blockIdx.y);
  const int column = static_cast<int>(threadIdx.x) % (kRank / 4);
  const int part = static_cast<int>(threadIdx.x) / (kRank / 4);
  const int64_t index = batch.index(call, static_cast<int>(blockIdx.x), head / kHeads, 0);
  const float2* states = batch.states(call, index) + head % kHeads;
  const float4* sums =
      reinterpret_cast<const float4*>(batch.sums(call, index) + head % kHeads * kRank) + column;
  const int spans = SpanCut::of(row.seen).spans;
  if (threadIdx.x < spans) memory.states[threadIdx.x] = states[threadIdx.x * kHeads];
  float4 mine[kMaxSpansOfPart];
#pragma unroll
  for (int i = 0; i < kMaxSpansOfPart; ++i) {
    const int span = part + i * kMergeParts;
    if (span < spans) mine[i] = sums[static_cast<int64_t>(span) * kHeads * (kRank / 4)];
  }
  __syncthreads();
  float maximum = kNoMaximum;
  for (int span = 0; span < spans; ++span) maximum = fmaxf(maximum, memory.states[span].x);
  float4 total = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
#pragma unroll
  for (int i = 0; i < kMaxSpansOfPart; ++i) {
    const int span = part + i * kMergeParts;
    if (span >= spans) break;
    const float take = exp2f(memory.states[span].x - maximum);
    total.x = fmaf(mine[i].x, take, total.x), total.y = fmaf(mine[i].y, take, total.y);
    total.z = fmaf(mine[i].z, take, total.z), total.w = fmaf(mine[i].w, take, total.w);
  }
  memory.totals[part][column] = total;
  __syncthreads();
  if (part > 0) return {false, column, total};
  float weight = 0.0f;
  for (int span = 0; span < spans; ++span)
    weight = fmaf(memory.states[span].y, exp2f(memory.states[span].x - maximum), weight);
#pragma unroll
  for (int other = 1; other < kMergeParts; ++other) {
    const float4 more = memory.totals[other][column];
    total.x += more.x, total.y += more.y, total.z += more.z, total.w += more.w;
  }
  const float share = 1.0f / weight;
  return {true, column, make_float4(total.x * share, total.y * share, total.z * share, total.w * share)};
}

__global__ void __launch_bounds__(kMergeThreads) merge_spans(MlaAttentionCall call, RowBatch batch) {
  __shared__ MergeMemory memory;
  const int64_t token = batch.first_token + blockIdx.x;
  MlaRow row;
  const bool is_there = find_row(call.cache, token, &row);
  wait_for_previous_kernel();
  if (!is_there) return;
  const MergedColumns merged = merge_head(call, batch, row, memory);
  if (!merged.is_mine) return;
  float* out = call.out + token * call.out_stride + static_cast<int64_t>(blockIdx.y) * kRank;
  reinterpret_cast<float4*>(out)[merged.column] = merged.values;
}

// A warp's value rows of kv_b, which are read before there is anything to multiply: sixteen neighbouring
// values of each a lane.
struct ValueRows {
  static constexpr int kValues = 128, kOfWarp = kValues / (kMergeThreads / kWarpSize), kOfLane = 16;

  uint4 rows[kOfWarp];
  float scale;

  __device__ void load(const KvBGpu& kv_b, int head) {
    const int warp = static_cast<int>(threadIdx.x) / kWarpSize,
              lane = static_cast<int>(threadIdx.x) % kWarpSize;
    const int64_t first = static_cast<int64_t>(head) * 2 * kValues + kValues + warp * kOfWarp;
#pragma unroll
    for (int i = 0; i < kOfWarp; ++i)
      rows[i] = *reinterpret_cast<const uint4*>(kv_b.data + (first + i) * kRank + lane * kOfLane);
    scale = kv_b.scale[(2 * head + 1) * kv_b.scale_columns + lane * kOfLane / kValues];
  }
  // Row i times what a head attended to, in every lane.
  __device__ float product(int i, const float (&attended)[kOfLane]) const {
    const uint32_t words[] = {rows[i].x, rows[i].y, rows[i].z, rows[i].w};
    float sum = 0.0f;
#pragma unroll
    for (int j = 0; j < kOfLane; j += 2) {
      const uint32_t pair = f8e4m3_as_f16(words[j / 4] >> (j % 4 * 8) & 0xFFFFu);
      sum = fmaf(half_value(pair & 0xFFFFu), attended[j], sum);
      sum = fmaf(half_value(pair >> 16), attended[j + 1], sum);
    }
    return warp_sum(sum * scale);
  }
};

// The same, through the head's value rows of kv_b, whose 128 results are a group in FP8.
__global__ void __launch_bounds__(kMergeThreads)
    merge_and_expand(MlaAttentionCall call, RowBatch batch, Fp8RowsOut out) {
  __shared__ MergeMemory memory;
  __shared__ __align__(16) float attended[kRank];
  __shared__ __align__(16) float values[ValueRows::kValues];
  const int head = static_cast<int>(blockIdx.y), warp = static_cast<int>(threadIdx.x) / kWarpSize,
            lane = static_cast<int>(threadIdx.x) % kWarpSize;
  ValueRows value_rows;
  value_rows.load(call.kv_b, head);
  const int64_t token = batch.first_token + blockIdx.x;
  MlaRow row;
  const bool is_there = find_row(call.cache, token, &row);
  wait_for_previous_kernel();
  if (!is_there) return;
  const MergedColumns merged = merge_head(call, batch, row, memory);
  if (merged.is_mine) reinterpret_cast<float4*>(attended)[merged.column] = merged.values;
  __syncthreads();
  float mine[ValueRows::kOfLane];
  load_pack<float>(attended + lane * ValueRows::kOfLane, ValueRows::kOfLane, true, mine);
#pragma unroll
  for (int i = 0; i < ValueRows::kOfWarp; ++i) {
    const float value = value_rows.product(i, mine);
    if (lane == i) values[warp * ValueRows::kOfWarp + i] = value;
  }
  __syncthreads();
  if (warp > 0) return;
  float group[4];
  load_pack<float>(values + 4 * lane, 4, true, group);
  quantize_group_of_128(group, out, token, head * ValueRows::kValues + 4 * lane, /*whole=*/true);
}

// Spans of all rows, a batch after the other; launch_merge(batch, grid) follows each.
template <class LaunchMerge>
void launch_spans(const MlaAttentionCall& call, int max_spans, gpuStream_t stream, LaunchMerge launch_merge) {
  const auto attend = call.cache.dtype == DType::kF16 ? attend_spans<F16Factor> : attend_spans<Bf16Factor>;
  const unsigned blocks = static_cast<unsigned>(num_multiprocessors());
  const unsigned groups = static_cast<unsigned>(call.heads / kHeads);
  for (int64_t first = 0; first < call.tokens; first += kMlaRowsAtOnce) {
    const RowBatch batch = {first, max_spans};
    const int64_t left = call.tokens - first;
    const unsigned rows = static_cast<unsigned>(left < kMlaRowsAtOnce ? left : kMlaRowsAtOnce);
    launch_kernel_with_shared(attend, dim3(blocks, groups), kThreads, sizeof(SpanMemory), stream, call,
                              batch);
    launch_merge(batch, dim3(rows, static_cast<unsigned>(call.heads)));
  }
}

}  // namespace

void launch_absorbed_matrix(const MlaAttentionCall& call, int max_spans, gpuStream_t stream) {
  launch_spans(call, max_spans, stream, [&](const RowBatch& batch, dim3 grid) {
    launch_kernel(merge_spans, grid, kMergeThreads, stream, call, batch);
  });
}

void launch_absorbed_values(const MlaAttentionCall& call, const Fp8RowsOut& out, int max_spans,
                            gpuStream_t stream) {
  launch_spans(call, max_spans, stream, [&](const RowBatch& batch, dim3 grid) {
    launch_kernel(merge_and_expand, grid, kMergeThreads, stream, call, batch, out);
  });
}

}  // namespace musaic
