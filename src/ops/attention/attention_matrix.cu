#include "gpu_early_launch.cuh"
#include "gpu_launch.cuh"
#include "ops/attention/attention_new_rows.cuh"

namespace musaic {
namespace {

constexpr int kMergeThreads = 64;
constexpr unsigned kFewSequences = 16;  // of a step in which the next launch may start early
// Steps of few rows over longer tables compute their spans apart and merge them in another launch.
constexpr int kMaxSpansOfBlock = 8;

// Where split steps keep what belongs to one query row: [max_spans, 2 + head_dim] floats.
__device__ float* split_sums(const AttentionCall& call, int64_t token, int head, int span) {
  const int64_t row = token * call.num_heads + head;
  return call.workspace + call.tokens * call.num_heads + (row * call.max_spans + span) * (2 + call.head_dim);
}
__device__ int32_t* split_count(const AttentionCall& call, int64_t token, int head) {
  return reinterpret_cast<int32_t*>(call.workspace) + token * call.num_heads + head;
}

// The lane's query rows of a tile as they lie in memory.
template <class Shape>
struct QueryRows {
  LaneHead heads[Shape::kRowsOfLane];
  int64_t offsets[Shape::kRowsOfLane];  // in the query; -1: there is no row

  // They are ready here.
  __device__ void find(const AttentionCall& call, const RowTile& tile, int kv_head) {
#pragma unroll
    for (int i = 0; i < Shape::kRowsOfLane; ++i) {
      const int row = static_cast<int>(threadIdx.x) % 32 / 4 + 8 * i;
      offsets[i] = -1;
      if (row < tile.num_rows)
        offsets[i] = token_of(call, tile, row) * call.query_stride +
                     static_cast<int64_t>(head_of(call, tile, row, kv_head)) * kMatrixDim;
      asm volatile("" : "+l"(offsets[i]));
    }
  }
  __device__ void load(const AttentionCall& call) {
#pragma unroll
    for (int i = 0; i < Shape::kRowsOfLane; ++i) {
      heads[i].clear();
      if (offsets[i] >= 0) heads[i].load(call.query + offsets[i], static_cast<int>(threadIdx.x) % 4);
    }
  }
  // Scaled, into the warp's registers; `rotation` null: they are rotated already.
  __device__ void put(const AttentionCall& call, const LaneRotation* rotation, MatrixQuery<Shape>& query) {
#pragma unroll
    for (int i = 0; i < Shape::kRowsOfLane; ++i) {
      if (rotation != nullptr) rotation->rotate(heads[i]);
#pragma unroll
      for (int chunk = 0; chunk < kMatrixChunks; ++chunk) {
#pragma unroll
        for (int j = 0; j < 8; ++j) heads[i].values[chunk][j] *= call.scale;
        query.set(chunk, i, heads[i].values[chunk]);
      }
    }
  }
};

// Of the lane's query rows; −1 where there is none.
template <class Shape>
__device__ void find_positions(const AttentionCall& call, const RowTile& tile,
                               int (&positions)[Shape::kRowsOfLane]) {
#pragma unroll
  for (int i = 0; i < Shape::kRowsOfLane; ++i) {
    const int row = static_cast<int>(threadIdx.x) % 32 / 4 + 8 * i;
    positions[i] = row < tile.num_rows ? position_of(call, tile, row) : -1;
  }
}

// The blocks of a span that a warp takes: stripe by stripe.
template <class Shape>
struct StripeCursor {
  int stripe;
  int begin;  // of the block

  static __device__ StripeCursor first(int span) {
    const int warp = static_cast<int>(threadIdx.x) / 32;
    return {warp, span * kMatrixSpan + warp * kMatrixBlock};
  }
  __device__ StripeCursor next(int span, int span_end) const {
    const int begin_next = begin + kMatrixStripes * kMatrixBlock;
    if (begin_next < span_end) return {stripe, begin_next};
    return {stripe + Shape::kWarps, span * kMatrixSpan + (stripe + Shape::kWarps) * kMatrixBlock};
  }
  __device__ bool is_block(int span_end) const { return stripe < kMatrixStripes && begin < span_end; }
};

// What a block of threads leaves: means of its only tile, or sums of one span of it.
template <class Shape, bool kSplit>
__device__ void put_tile(const AttentionCall& call, const RowTile& tile, int kv_head, int span,
                         const SoftmaxSum (&totals)[Shape::kRows * kMatrixDim / Shape::kThreads]) {
#pragma unroll
  for (int i = 0; i < Shape::kRows * kMatrixDim / Shape::kThreads; ++i) {
    const int at = static_cast<int>(threadIdx.x) + i * Shape::kThreads;
    const int row = at / kMatrixDim, dim = at % kMatrixDim;
    if (row >= tile.num_rows) continue;
    const int64_t token = token_of(call, tile, row);
    const int head = head_of(call, tile, row, kv_head);
    if (!kSplit) {
      call.out[token * call.out_stride + static_cast<int64_t>(head) * kMatrixDim + dim] = totals[i].mean();
      continue;
    }
    float* sums = split_sums(call, token, head, span);
    sums[2 + dim] = totals[i].value;
    if (dim > 0) continue;
    sums[0] = totals[i].maximum;
    sums[1] = totals[i].weight;
    if (span == 0) *split_count(call, token, head) = position_of(call, tile, row) / kMatrixSpan + 1;
  }
}

// A tile of rows and a kv head a block of threads; kSplit: one span of it. kNew: the step's keys and values
// are in `rows`, one row a sequence.
template <class Shape, bool kNew, bool kSplit>
__global__ void __launch_bounds__(Shape::kThreads, 2) attend_matrix(AttentionCall call, NewRows rows) {
  __shared__ MatrixMemory<Shape> memory;
  const int kv_head = static_cast<int>(blockIdx.y);
  RowTile tile = {};
  bool is_tile;
  if (kNew) {
    const int sequence = static_cast<int>(blockIdx.x);
    const int length = call.kv_lengths[sequence];  // of a pad row too, so that it comes with the next read
    is_tile = sequence < *call.num_sequences;
    tile = {sequence, 0, call.group_size, sequence, is_tile ? length - 1 : 0};
  } else {
    wait_for_previous_kernel();
    is_tile = find_tile<Shape::kRows>(call, static_cast<int>(blockIdx.x), &tile);
  }
  const int end = is_tile ? position_of(call, tile, tile.num_rows - 1) + 1 : 0;
  const int first_span = kSplit ? static_cast<int>(blockIdx.z) : 0;
  const bool has_work = first_span * kMatrixSpan < end;
  const int last_span = kSplit ? first_span : (end - 1) / kMatrixSpan;
  const int stored = kNew ? end - 1 : end;  // positions that the cache has
  using Cursor = StripeCursor<Shape>;
  Cursor cursor = Cursor::first(first_span);
  KvWords ahead;
  int group_ahead = 0;  // of the block after the next one
  if (has_work) {
    const int group = find_group(call, tile.sequence, kv_head, cursor.begin, stored);
    const Cursor next = cursor.next(first_span, min(end, (first_span + 1) * kMatrixSpan));
    group_ahead = find_group(call, tile.sequence, kv_head, next.begin, stored);
    load_block(call, group, cursor.begin, stored, ahead);
  }
  const int new_slot = kNew && has_work ? rows.slots[tile.first_token] : 0;
  int positions[Shape::kRowsOfLane];
  find_positions<Shape>(call, tile, positions);
  QueryRows<Shape> query_rows;
  query_rows.find(call, tile, kv_head);
  if (kNew) {
    if (gridDim.x <= kFewSequences) let_next_kernel_start();
    wait_for_previous_kernel();
  }
  if (!has_work) return;

  MatrixQuery<Shape> query;
  NewWords<typename Shape::Factor> new_words;
  query_rows.load(call);
  if constexpr (kNew) {
    LaneRotation rotation;
    rotation.load(rows.cos_sin + tile.first_token * rows.cos_sin_stride, static_cast<int>(threadIdx.x) % 4,
                  rows.interleaved);
    const int warp = static_cast<int>(threadIdx.x) / 32;
    if (stored / kMatrixBlock % kMatrixStripes == warp && stored / kMatrixSpan <= last_span) {
      new_words.load(rows, tile.first_token, kv_head, rotation);
      new_words.store(call, new_slot, kv_head);
    }
    query_rows.put(call, &rotation, query);
  } else {
    query_rows.put(call, nullptr, query);
  }

  constexpr int kValues = Shape::kRows * kMatrixDim / Shape::kThreads;
  SoftmaxSum totals[kValues];
  MatrixStripe<Shape> stripe;
  stripe.clear();
  for (int span = first_span; span <= last_span; ++span) {
    const int span_end = min(end, (span + 1) * kMatrixSpan);
    if (span > first_span) {
      cursor = Cursor::first(span);
      const int group = find_group(call, tile.sequence, kv_head, cursor.begin, stored);
      group_ahead = find_group(call, tile.sequence, kv_head, cursor.next(span, span_end).begin, stored);
      load_block(call, group, cursor.begin, stored, ahead);
    }
    while (cursor.is_block(span_end)) {
      KvWords words = ahead;
      const Cursor next = cursor.next(span, span_end);
      if (next.is_block(span_end)) {
        load_block(call, group_ahead, next.begin, stored, ahead);
        group_ahead = find_group(call, tile.sequence, kv_head, next.next(span, span_end).begin, stored);
      }
      if constexpr (kNew) {
        if (stored >= cursor.begin && stored < cursor.begin + kMatrixBlock)
          new_words.put(stored - cursor.begin, words);
      }
      stripe.add_block(cursor.begin, query, positions, words);
      if (next.stripe != cursor.stripe) {
        stripe.put(memory, cursor.stripe);
        stripe.clear();
      }
      cursor = next;
    }
    const int stripes =
        min(kMatrixStripes, (span_end - span * kMatrixSpan + kMatrixBlock - 1) / kMatrixBlock);
    find_takes<Shape>(memory, stripes);
#pragma unroll
    for (int i = 0; i < kValues; ++i) {
      const int at = static_cast<int>(threadIdx.x) + i * Shape::kThreads;
      if (at / kMatrixDim >= tile.num_rows) break;
      const SoftmaxSum sum = sum_of_stripes<Shape>(memory, stripes, at / kMatrixDim, at % kMatrixDim);
      if (kSplit) {
        totals[i] = sum;
      } else {
        totals[i].add(sum.maximum, sum.weight, sum.value);
      }
    }
    if (span < last_span) __syncthreads();
  }
  put_tile<Shape, kSplit>(call, tile, kv_head, first_span, totals);
}

// A block a token and head.
__global__ void __launch_bounds__(kMergeThreads) merge_matrix_spans(AttentionCall call, bool one_row_each) {
  wait_for_previous_kernel();
  const int64_t token = blockIdx.x;
  const int sequences = *call.num_sequences;
  if (one_row_each ? token >= sequences : token < call.query_start[0] || token >= call.query_start[sequences])
    return;
  const int head = static_cast<int>(blockIdx.y);
  const int num_spans = *split_count(call, token, head);
  for (int dim = threadIdx.x; dim < call.head_dim; dim += kMergeThreads) {
    SoftmaxSum total;
    for (int span = 0; span < num_spans; ++span) {
      const float* sums = split_sums(call, token, head, span);
      total.add(sums[0], sums[1], sums[2 + dim]);
    }
    call.out[token * call.out_stride + static_cast<int64_t>(head) * call.head_dim + dim] = total.mean();
  }
}

// At least as many tiles as the step can have.
int64_t max_matrix_tiles(const AttentionCall& call, int rows) {
  const int64_t of_one_token = (call.group_size + rows - 1) / rows;
  const int64_t if_each_is_alone = call.tokens * of_one_token;
  const int64_t if_each_ends_a_tile = call.tokens * call.group_size / rows + call.sequences;
  return if_each_is_alone < if_each_ends_a_tile ? if_each_is_alone : if_each_ends_a_tile;
}

template <class Shape, bool kNew>
void launch_shape(AttentionCall call, const NewRows& rows, gpuStream_t stream) {
  const unsigned tiles = static_cast<unsigned>(kNew ? call.tokens : max_matrix_tiles(call, Shape::kRows));
  const unsigned heads = static_cast<unsigned>(call.kv_heads);
  const int64_t positions = call.max_pages * call.page_size;
  call.max_spans = static_cast<int>((positions + kMatrixSpan - 1) / kMatrixSpan);
  const dim3 block(static_cast<unsigned>(Shape::kThreads));
  if (call.tokens > kMaxSplitTokens || call.max_spans <= kMaxSpansOfBlock)
    return launch_kernel(attend_matrix<Shape, kNew, false>, dim3(tiles, heads), block, stream, call, rows);
  launch_kernel(attend_matrix<Shape, kNew, true>, dim3(tiles, heads, static_cast<unsigned>(call.max_spans)),
                block, stream, call, rows);
  launch_kernel(merge_matrix_spans,
                dim3(static_cast<unsigned>(call.tokens), static_cast<unsigned>(call.num_heads)),
                dim3(kMergeThreads), stream, call, kNew);
}

template <DType kType>
void launch_type(const AttentionCall& call, const NewRows& rows, gpuStream_t stream) {
  if (rows.key != nullptr) return launch_shape<MatrixShape<kType, 8>, true>(call, rows, stream);
  launch_shape<MatrixShape<kType, 16>, false>(call, rows, stream);
}

}  // namespace

bool attends_by_matrix(DType cache_dtype, int64_t head_dim) {
  return (cache_dtype == DType::kF16 || cache_dtype == DType::kBF16) && head_dim == kMatrixDim;
}

void launch_attention_matrix(const AttentionCall& call, const NewRows& rows, gpuStream_t stream) {
  if (call.cache_dtype == DType::kF16) return launch_type<DType::kF16>(call, rows, stream);
  launch_type<DType::kBF16>(call, rows, stream);
}

}  // namespace musaic
