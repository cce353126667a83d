#include "gpu_launch.cuh"
#include "ops/attention/attention_gpu.h"
#include "ops/attention/attention_stripe.cuh"

namespace musaic {
namespace {

constexpr int kThreads = 32 * kAttentionWarps;
constexpr int kMergeThreads = 64;

// Where split steps keep what belongs to one query row.
struct SplitRow {
  int32_t* num_spans;
  float* sums;  // [max_spans, 2 + head_dim]: maximum, weight, values

  static __device__ SplitRow at(const AttentionCall& call, int64_t token, int head) {
    const int64_t index = token * call.num_heads + head;
    float* first = call.workspace + call.tokens * call.num_heads;
    return {reinterpret_cast<int32_t*>(call.workspace) + index,
            first + index * call.max_spans * (2 + call.head_dim)};
  }
};

template <class Shape>
__device__ void load_query(const AttentionCall& call, const RowTile& tile, int kv_head,
                           TileMemory<Shape>& memory) {
  for (int i = threadIdx.x; i < Shape::kRows * Shape::kPaddedDim; i += kThreads) {
    const int row = i / Shape::kPaddedDim, dim = i % Shape::kPaddedDim;
    float value = 0.0f;
    if (row < tile.num_rows && dim < call.head_dim) {
      const int64_t at = token_of(call, tile, row) * call.query_stride +
                         static_cast<int64_t>(head_of(call, tile, row, kv_head)) * call.head_dim + dim;
      value = call.query[at] * call.scale;
    }
    memory.query[row][dim] = value;
  }
  for (int row = threadIdx.x; row < Shape::kRows; row += kThreads)
    memory.positions[row] = row < tile.num_rows ? position_of(call, tile, row) : -1;
}

// The stripes of one span, each by a warp, left in the tile's memory.
template <class Shape>
__device__ void sum_span(Stripe<Shape>& stripe, int span, int end) {
  stripe.clear();
  const int last = min(end, (span + 1) * kAttentionSpan);
  for (int begin = span * kAttentionSpan + static_cast<int>(threadIdx.x) / 32 * kKvBlock; begin < last;
       begin += kAttentionWarps * kKvBlock)
    stripe.add_block(begin, last);
  __syncthreads();
  stripe.put();
  __syncthreads();
}

template <class Shape>
__device__ SoftmaxSum sum_of_stripes(const TileMemory<Shape>& memory, int row, int dim) {
  SoftmaxSum sum;
#pragma unroll
  for (int warp = 0; warp < kAttentionWarps; ++warp)
    sum.add(memory.maximum[warp][row], memory.weight[warp][row], memory.sums[warp][row][dim]);
  return sum;
}

// A tile of rows and a kv head a block of threads; kSplit: one span of it.
template <class Shape, bool kSplit>
__global__ void __launch_bounds__(kThreads, Shape::kBlocksAtOnce) attend_tile(AttentionCall call) {
  __shared__ TileMemory<Shape> memory;
  wait_for_previous_kernel();
  RowTile tile;
  if (!find_tile<Shape::kRows>(call, static_cast<int>(blockIdx.x), &tile)) return;
  const int kv_head = static_cast<int>(blockIdx.y);
  const int end = position_of(call, tile, tile.num_rows - 1) + 1;
  const int first_span = kSplit ? static_cast<int>(blockIdx.z) : 0;
  if (first_span * kAttentionSpan >= end) return;
  const int last_span = kSplit ? first_span : (end - 1) / kAttentionSpan;
  load_query(call, tile, kv_head, memory);
  __syncthreads();

  // The values of the tile that this thread adds up over spans.
  constexpr int kValues = Shape::kRows * Shape::kPaddedDim / kThreads;
  static_assert(kValues * kThreads == Shape::kRows * Shape::kPaddedDim, "threads share the tile evenly");
  SoftmaxSum totals[kValues];
  Stripe<Shape> stripe(call, tile, kv_head, memory);
  for (int span = first_span; span <= last_span; ++span) {
    sum_span(stripe, span, end);
#pragma unroll
    for (int i = 0; i < kValues; ++i) {
      const int at = static_cast<int>(threadIdx.x) + i * kThreads;
      const SoftmaxSum sum = sum_of_stripes(memory, at / Shape::kPaddedDim, at % Shape::kPaddedDim);
      if (kSplit) {
        totals[i] = sum;
      } else {
        totals[i].add(sum.maximum, sum.weight, sum.value);
      }
    }
    __syncthreads();
  }

#pragma unroll
  for (int i = 0; i < kValues; ++i) {
    const int at = static_cast<int>(threadIdx.x) + i * kThreads;
    const int row = at / Shape::kPaddedDim, dim = at % Shape::kPaddedDim;
    if (row >= tile.num_rows || dim >= call.head_dim) continue;
    const int64_t token = token_of(call, tile, row);
    const int head = head_of(call, tile, row, kv_head);
    if (!kSplit) {
      call.out[token * call.out_stride + static_cast<int64_t>(head) * call.head_dim + dim] = totals[i].mean();
      continue;
    }
    const SplitRow split = SplitRow::at(call, token, head);
    float* sums = split.sums + static_cast<int64_t>(first_span) * (2 + call.head_dim);
    sums[2 + dim] = totals[i].value;
    if (dim > 0) continue;
    sums[0] = totals[i].maximum;
    sums[1] = totals[i].weight;
    if (first_span == 0) *split.num_spans = position_of(call, tile, row) / kAttentionSpan + 1;
  }
}

// A block a token and head.
__global__ void __launch_bounds__(kMergeThreads) merge_spans(AttentionCall call) {
  wait_for_previous_kernel();
  const int64_t token = blockIdx.x;
  if (token < call.query_start[0] || token >= call.query_start[*call.num_sequences]) return;
  const int head = static_cast<int>(blockIdx.y);
  const SplitRow split = SplitRow::at(call, token, head);
  const int num_spans = *split.num_spans;
  for (int dim = threadIdx.x; dim < call.head_dim; dim += kMergeThreads) {
    SoftmaxSum total;
    const float* sums = split.sums;
    for (int span = 0; span < num_spans; ++span, sums += 2 + call.head_dim)
      total.add(sums[0], sums[1], sums[2 + dim]);
    call.out[token * call.out_stride + static_cast<int64_t>(head) * call.head_dim + dim] = total.mean();
  }
}

// At least as many tiles as the step can have.
int64_t max_tiles(const AttentionCall& call, int rows) {
  const int64_t of_one_token = (call.group_size + rows - 1) / rows;
  const int64_t if_each_is_alone = call.tokens * of_one_token;
  const int64_t if_each_ends_a_tile = call.tokens * call.group_size / rows + call.sequences;
  return if_each_is_alone < if_each_ends_a_tile ? if_each_is_alone : if_each_ends_a_tile;
}

template <class Shape>
void launch_shape(const AttentionCall& call, gpuStream_t stream) {
  const unsigned tiles = static_cast<unsigned>(max_tiles(call, Shape::kRows));
  const unsigned heads = static_cast<unsigned>(call.kv_heads);
  if (!call.is_split())
    return launch_kernel(attend_tile<Shape, false>, dim3(tiles, heads), kThreads, stream, call);
  const unsigned spans = static_cast<unsigned>(call.max_spans);
  launch_kernel(attend_tile<Shape, true>, dim3(tiles, heads, spans), kThreads, stream, call);
  launch_kernel(merge_spans, dim3(static_cast<unsigned>(call.tokens), static_cast<unsigned>(call.num_heads)),
                kMergeThreads, stream, call);
}

// The largest tiles that most sequences fill; sums and their copies of a block stay in registers.
template <DType kType>
void launch_type(const AttentionCall& call, gpuStream_t stream) {
  const int64_t rows = call.sequences > 0 ? call.tokens * call.group_size / call.sequences : 0;
  if (call.head_dim > 128) return launch_shape<AttentionShape<kType, 4, 8>>(call, stream);
  if (call.head_dim > 64) {
    if (rows <= 4) return launch_shape<AttentionShape<kType, 4, 4>>(call, stream);
    return launch_shape<AttentionShape<kType, 8, 4>>(call, stream);
  }
  if (rows <= 4) return launch_shape<AttentionShape<kType, 4, 2>>(call, stream);
  launch_shape<AttentionShape<kType, 8, 2>>(call, stream);
}

}  // namespace

void launch_paged_attention(const AttentionCall& call, gpuStream_t stream) {
  if (call.cache_dtype == DType::kF16) return launch_type<DType::kF16>(call, stream);
  if (call.cache_dtype == DType::kBF16) return launch_type<DType::kBF16>(call, stream);
  launch_type<DType::kF32>(call, stream);
}

}  // namespace musaic
