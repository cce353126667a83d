#include <algorithm>

#include "gpu_launch.cuh"
#include "hopper.cuh"
#include "ops/attention/attention_new_rows.cuh"
#include "ops/attention_out/attention_out_gpu.h"
#include "ops/linear/linear_tile.cuh"

// A cluster of blocks a sequence. Every block attends with the query heads of one kv head to its share of the
// positions and sends the sums to all blocks of the cluster; these add up the shares, so that each has what
// all heads attended to, and multiply it with some rows of the weight. Nothing but the new residual, key and
// value leaves the cluster.
namespace musaic {
namespace {

constexpr int kMaxHeads = 16;            // a warp each: a segment of the linear's sum is a head
constexpr int kMaxSplits = 8;            // of a kv head's positions
constexpr int kSumRow = kMatrixDim + 8;  // floats of a row: sums, then maximum and weight
constexpr int kSumPacks = kMatrixDim / 4;
constexpr int kMaxStripes = kMatrixStripes + 1;  // of a block: one of the new position
static_assert(kMatrixDim == 2 * kChunk, "a head is a segment of two chunks");

#ifdef AO_TIMES
}
__device__ long long g_times[64][16];
__device__ int g_time_layer;
namespace {
#define MARK(i) \
  if (threadIdx.x == 0 && blockIdx.x == 0) marks[i] = clock64()
#else
#define MARK(i)
#endif

using Shape = MatrixShape<DType::kBF16, 8>;
using Factor = Shape::Factor;

struct ClusterCall {
  AttentionCall attention;
  NewRows rows;
  const uint8_t* weight;  // [hidden, num_heads · kMatrixDim]
  float* residual;
  int64_t residual_stride;
  int splits;

  __host__ __device__ int num_blocks() const { return attention.kv_heads * splits; }
  __host__ __device__ int weight_row_bytes() const { return attention.num_heads * kMatrixDim * 2; }
};

// A block's shared memory.
template <int kSquares>
struct Memory {
  static constexpr int kColumns = kSquares * kSquare;  // of the residual
  static constexpr int kPadding = 64;  // of a weight's row, so that lanes meet different banks
  static constexpr size_t kBarrierBytes = 64;

  Barrier* has_weight;
  Barrier* has_sums;
  uint8_t* weight;  // [kColumns, row bytes + padding]
  float* stripes;   // [kMaxStripes, group_size, kSumRow]
  float* shares;    // [splits, num_heads, kSumRow]
  float* products;  // [num_heads, kColumns]

  __device__ Memory(unsigned char* begin, const ClusterCall& call) {
    has_weight = reinterpret_cast<Barrier*>(begin);
    has_sums = has_weight + 1;
    weight = begin + kBarrierBytes;
    stripes = reinterpret_cast<float*>(weight + weight_bytes(call));
    shares = stripes + kMaxStripes * call.attention.group_size * kSumRow;
    products = shares + call.splits * call.attention.num_heads * kSumRow;
  }
  static __host__ __device__ size_t weight_bytes(const ClusterCall& call) {
    return static_cast<size_t>(kColumns) * static_cast<size_t>(call.weight_row_bytes() + kPadding);
  }
  static size_t bytes(const ClusterCall& call) {
    const int rows = kMaxStripes * call.attention.group_size + call.splits * call.attention.num_heads;
    const int floats = rows * kSumRow + call.attention.num_heads * kColumns;
    return kBarrierBytes + weight_bytes(call) + static_cast<size_t>(floats) * sizeof(float);
  }
};

// Where the calling thread is.
struct Place {
  int sequence;
  int block;  // of the cluster
  int kv_head;
  int split;
  int warp;
  int lane;

  __device__ explicit Place(const ClusterCall& call) {
    block = static_cast<int>(block_of_cluster());
    sequence = static_cast<int>(blockIdx.x) / call.num_blocks();
    kv_head = block / call.splits;
    split = block % call.splits;
    warp = static_cast<int>(threadIdx.x) / 32;
    lane = static_cast<int>(threadIdx.x) % 32;
  }
};

// The block's rows of the weight, by one warp.
template <int kSquares>
__device__ void fetch_weight(const ClusterCall& call, const Place& place, const Memory<kSquares>& memory) {
  const int bytes = call.weight_row_bytes();
  if (place.lane == 0) {
    memory.has_weight->init(1);
    memory.has_sums->init(1);
    publish_barriers();
    memory.has_weight->arrive_and_expect(static_cast<uint32_t>(bytes) * Memory<kSquares>::kColumns);
  }
  __syncwarp();
  for (int row = place.lane; row < Memory<kSquares>::kColumns; row += 32) {
    const int64_t column = static_cast<int64_t>(place.block) * Memory<kSquares>::kColumns + row;
    copy_bytes(shared_address(memory.weight + row * (bytes + Memory<kSquares>::kPadding)),
               call.weight + column * bytes, static_cast<uint32_t>(bytes), *memory.has_weight);
  }
}

// The blocks of positions of the calling warp, every so many of the sequence's.
struct Blocks {
  int first;
  int step;

  __device__ Blocks(const ClusterCall& call, const Place& place)
      : first((place.warp * call.splits + place.split) * kMatrixBlock),
        step(kMatrixStripes * call.splits * kMatrixBlock) {}
};

// The page table's entry of the lane's group of the positions from `begin` on; behind a sequence's end
// whatever lies there.
__device__ int find_page(const AttentionCall& call, int sequence, int begin) {
  const int first = begin + static_cast<int>(threadIdx.x) % kMatrixGroups * 8;
  const int page = min(first / call.page_size, static_cast<int>(call.max_pages) - 1);
  return call.page_table[sequence * call.max_pages + page];
}
__device__ int row_in_page(const AttentionCall& call, int kv_head, int begin, int page, int end) {
  const int first = begin + static_cast<int>(threadIdx.x) % kMatrixGroups * 8;
  return first < end ? (page * call.kv_heads + kv_head) * call.page_size + first % call.page_size : 0;
}

// A warp's stripe of positions of a sequence: `kAhead` blocks of keys and values are under way at once.
template <int kAhead>
struct Past {
  KvWords words[kAhead];
  int next_page[kAhead];

  // Does not wait for the sequence's length before it knows where the pages are.
  __device__ void begin(const ClusterCall& call, const Place& place, const Blocks& blocks) {
#pragma unroll
    for (int i = 0; i < kAhead; ++i)
      next_page[i] = find_page(call.attention, place.sequence, blocks.first + i * blocks.step);
  }
  __device__ void load(const ClusterCall& call, const Place& place, const Blocks& blocks, int i, int begin,
                       int stored) {
    const int row = row_in_page(call.attention, place.kv_head, begin, next_page[i], stored);
    load_block(call.attention, row, begin, stored, words[i]);
    next_page[i] = find_page(call.attention, place.sequence, begin + kAhead * blocks.step);
  }
};

__device__ void put_stripe(const MatrixStripe<Shape>& stripe, const ClusterCall& call, const Place& place,
                           float* stripes) {
  const int group = call.attention.group_size, g = place.lane / 4;
  float* row = stripes + (place.warp * group + g) * kSumRow;
  stripe.put_row(0, g < group, row, row + kMatrixDim, row + kMatrixDim + 1);
}

// The lane's dimensions of a row as the cache keeps them.
__device__ void round_head(LaneHead& head, uint4 (&words)[kMatrixChunks]) {
#pragma unroll
  for (int chunk = 0; chunk < kMatrixChunks; ++chunk) {
    words[chunk] = pack_eight<Factor>(head.values[chunk]);
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const uint32_t word = word_of(words[chunk], i / 2);
      head.values[chunk][i] = i % 2 == 0 ? Factor::low(word) : Factor::high(word);
    }
  }
}

// The stripe of the new position alone, whose key and value are stored too, by one warp. `query`: rotated and
// scaled.
__device__ void attend_to_new(const ClusterCall& call, const Place& place, LaneHead& query,
                              const LaneRotation& rotation, int slot, float* stripe) {
  const AttentionCall& attention = call.attention;
  const int g = place.lane / 4, t = place.lane % 4;
  LaneHead key, value;
  uint4 words[kMatrixChunks], key_words[kMatrixChunks], value_words[kMatrixChunks];
  key.load(call.rows.key + place.sequence * call.rows.key_stride + place.kv_head * kMatrixDim, t);
  value.load(call.rows.value + place.sequence * call.rows.value_stride + place.kv_head * kMatrixDim, t);
  rotation.rotate(key);
  round_head(key, key_words);
  round_head(value, value_words);
  round_head(query, words);
  float score = 0.0f;
#pragma unroll
  for (int chunk = 0; chunk < kMatrixChunks; ++chunk) {
#pragma unroll
    for (int i = 0; i < 8; ++i) score = fmaf(query.values[chunk][i], key.values[chunk][i], score);
  }
  score = sum_over_quad(score);
  if (g == 0) {
    const int64_t row =
        (static_cast<int64_t>(slot / attention.page_size) * attention.kv_heads + place.kv_head) *
            attention.page_size +
        slot % attention.page_size;
    uint4* keys = reinterpret_cast<uint4*>(const_cast<uint8_t*>(attention.key_cache) + row * kMatrixDim * 2);
    uint4* values =
        reinterpret_cast<uint4*>(const_cast<uint8_t*>(attention.value_cache) + row * kMatrixDim * 2);
#pragma unroll
    for (int chunk = 0; chunk < kMatrixChunks; ++chunk) {
      keys[chunk * 4 + t] = key_words[chunk];
      values[chunk * 4 + t] = value_words[chunk];
    }
  }
  if (g >= attention.group_size) return;
  float* sums = stripe + g * kSumRow;
#pragma unroll
  for (int chunk = 0; chunk < kMatrixChunks; ++chunk) {
#pragma unroll
    for (int i = 0; i < 8; ++i)
      sums[MatrixMemory<Shape>::column_of(chunk * 32 + i) + t] = value.values[chunk][i];
  }
  if (t == 0) {
    sums[kMatrixDim] = score;
    sums[kMatrixDim + 1] = 1.0f;
  }
}

// A row's share of the sequence: four of its values, which all threads of a pack find alike.
__device__ void send_shares(const ClusterCall& call, const Place& place, int num_stripes,
                            const float* stripes, uint32_t shares, uint32_t barrier) {
  const int group = call.attention.group_size, packs = group * kSumPacks;
  const int senders = static_cast<int>(blockDim.x) / packs;
  const int pack = static_cast<int>(threadIdx.x) % packs, sender = static_cast<int>(threadIdx.x) / packs;
  if (sender >= senders) return;
  const int row = pack / kSumPacks, four = pack % kSumPacks;
  const float* first = stripes + row * kSumRow;
  const int stride = group * kSumRow;
  float maximum[kMaxStripes];
  float largest = kNoMaximum;
#pragma unroll
  for (int s = 0; s < kMaxStripes; ++s) {
    maximum[s] = s < num_stripes ? first[s * stride + kMatrixDim] : kNoMaximum;
    largest = fmaxf(largest, maximum[s]);
  }
  float weight = 0.0f;
  float4 sum = make_float4(0, 0, 0, 0);
#pragma unroll
  for (int s = 0; s < kMaxStripes; ++s) {
    if (s >= num_stripes) break;
    const float take = exp2f(maximum[s] - largest);
    const float4 values = *reinterpret_cast<const float4*>(first + s * stride + 4 * four);
    weight = fmaf(first[s * stride + kMatrixDim + 1], take, weight);
    sum.x = fmaf(values.x, take, sum.x);
    sum.y = fmaf(values.y, take, sum.y);
    sum.z = fmaf(values.z, take, sum.z);
    sum.w = fmaf(values.w, take, sum.w);
  }
  const int head = place.kv_head * group + row;
  const uint32_t to =
      shares + static_cast<uint32_t>(sizeof(float)) *
                   static_cast<uint32_t>((place.split * call.attention.num_heads + head) * kSumRow);
  for (int block = sender; block < call.num_blocks(); block += senders) {
    const uint32_t there = address_in_block(to, block), barrier_there = address_in_block(barrier, block);
    store_in_block(there + 16 * four, sum, barrier_there);
    if (four == 0) store_in_block(there + 4 * kMatrixDim, make_float4(largest, weight, 0, 0), barrier_there);
  }
}

// Two neighbouring values of the warp's head, dimensions 2 · lane and the next one, as the linear takes them.
__device__ uint32_t merge_shares(const ClusterCall& call, const Place& place, int num_shares,
                                 const float* shares) {
  const float* first = shares + place.warp * kSumRow;
  const int stride = call.attention.num_heads * kSumRow;
  const int column = MatrixMemory<Shape>::column_of(2 * place.lane);
  float2 about[kMaxSplits];  // maximum and weight
  float largest = kNoMaximum;
#pragma unroll
  for (int s = 0; s < kMaxSplits; ++s) {
    about[s] = make_float2(kNoMaximum, 0);
    if (s < num_shares) about[s] = *reinterpret_cast<const float2*>(first + s * stride + kMatrixDim);
    largest = fmaxf(largest, about[s].x);
  }
  float weight = 0.0f, a = 0.0f, b = 0.0f;
#pragma unroll
  for (int s = 0; s < kMaxSplits; ++s) {
    if (s >= num_shares) break;
    const float take = exp2f(about[s].x - largest);
    weight = fmaf(about[s].y, take, weight);
    a = fmaf(first[s * stride + column], take, a);
    b = fmaf(first[s * stride + column + kMatrixColumns], take, b);
  }
  const float inverse = __fdividef(1.0f, weight);
  return bf16_pair(a * inverse, b * inverse);
}

template <int kSquares>
struct HeadWeights {
  WeightChunk chunks[kMatrixChunks][kSquares];

  __device__ void load(const ClusterCall& call, const Place& place, const Memory<kSquares>& memory) {
    const int g = place.lane / 4, t = place.lane % 4;
    const int stride = call.weight_row_bytes() + Memory<kSquares>::kPadding;
    const uint8_t* from = memory.weight + g * stride + (place.warp * kMatrixDim + 8 * t) * 2;
#pragma unroll
    for (int c = 0; c < kMatrixChunks; ++c) {
#pragma unroll
      for (int s = 0; s < kSquares; ++s) {
        const uint8_t* at = from + s * kSquare * stride + c * kChunk * 2;
        chunks[c][s].low = *reinterpret_cast<const uint4*>(at);
        chunks[c][s].high = *reinterpret_cast<const uint4*>(at + 8 * stride);
      }
    }
  }
};

// The warp's head times its columns of the weight: a segment of each of the block's sums. All columns of a
// product's right factor are the same.
template <int kSquares>
__device__ void multiply_head(const HeadWeights<kSquares>& weights, uint32_t pair, const Place& place,
                              float* products) {
  const int g = place.lane / 4, t = place.lane % 4;
  ChainSums<1> sums[kSquares][1];
#pragma unroll
  for (int s = 0; s < kSquares; ++s) sums[s][0].clear();
#pragma unroll
  for (int c = 0; c < kMatrixChunks; ++c) {
    uint32_t words[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) words[i] = __shfl_sync(kAllLanes, pair, 16 * c + 4 * t + i);
    XChunk<1> x[1];
    x[0].parts[0] = make_uint4(words[0], words[1], words[2], words[3]);
    add_products(weights.chunks[c], x, sums);
  }
  if (t > 0) return;
  float* row = products + place.warp * kSquares * kSquare + g;
#pragma unroll
  for (int s = 0; s < kSquares; ++s) {
    row[s * kSquare] = sums[s][0].sum(0);
    row[s * kSquare + 8] = sums[s][0].sum(2);
  }
}

template <int kSquares>
__device__ float sum_heads(int num_heads, const float* products) {
  float sum = 0.0f;
#pragma unroll
  for (int head = 0; head < kMaxHeads; ++head) {
    if (head < num_heads) sum += products[head * kSquares * kSquare];
  }
  return sum;
}

template <int kSquares, int kAhead, int kMaxThreads>
__global__ void __launch_bounds__(kMaxThreads, 1) attend_and_multiply(ClusterCall call) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  extern __shared__ __align__(128) unsigned char shared[];
  constexpr int kColumns = kSquares * kSquare;
#ifdef AO_TIMES
  long long marks[11];
#endif
  MARK(0);
  const Memory<kSquares> memory(shared, call);
  const Place place(call);
  const AttentionCall& attention = call.attention;
  const Blocks blocks(call, place);
  const bool is_last_warp = place.warp == static_cast<int>(blockDim.x) / 32 - 1;
  const bool attends = place.warp < kMatrixStripes;
  Past<kAhead> past;
  if (attends) past.begin(call, place, blocks);
  const int length = attention.kv_lengths[place.sequence];
  const int new_slot = call.rows.slots[place.sequence];
  const bool is_live = place.sequence < *attention.num_sequences;
  if (is_last_warp) fetch_weight(call, place, memory);
  arrive_at_cluster();
  const int stored = is_live ? length - 1 : 0;
  if (attends) {
#pragma unroll
    for (int i = 0; i < kAhead; ++i)
      past.load(call, place, blocks, i, blocks.first + i * blocks.step, stored);
  }
  const int num_blocks = (stored + kMatrixBlock - 1) / kMatrixBlock;
  const int num_shares = min(call.splits, num_blocks + 1);
  const bool has_new = place.split == num_shares - 1;
  const int past_stripes = min(kMatrixStripes, (num_blocks - place.split + call.splits - 1) / call.splits);
  const int row = place.lane / 4, t = place.lane % 4;
  const float* query_row = attention.query + place.sequence * attention.query_stride +
                           (place.kv_head * attention.group_size + row) * kMatrixDim;
  const float* cos_sin = call.rows.cos_sin + place.sequence * call.rows.cos_sin_stride;
  float* residual = call.residual + place.sequence * call.residual_stride + place.block * kColumns;
  MARK(1);
  wait_for_cluster();
  MARK(2);
  wait_for_previous_kernel();
  MARK(3);
  if (!is_live) {
    memory.has_weight->wait(0);
    return;
  }

  float addend = 0.0f;
  if (threadIdx.x < kColumns) addend = residual[threadIdx.x];
  if ((attends && blocks.first < stored) || (is_last_warp && has_new)) {
    LaneHead head;
    LaneRotation rotation;
    head.clear();
    if (row < attention.group_size) head.load(query_row, t);
    rotation.load(cos_sin, t, call.rows.interleaved);
    rotation.rotate(head);
#pragma unroll
    for (int chunk = 0; chunk < kMatrixChunks; ++chunk) {
#pragma unroll
      for (int j = 0; j < 8; ++j) head.values[chunk][j] *= attention.scale;
    }
    if (!attends) {
      attend_to_new(call, place, head, rotation, new_slot,
                    memory.stripes + past_stripes * attention.group_size * kSumRow);
    } else {
      MatrixQuery<Shape> query;
#pragma unroll
      for (int chunk = 0; chunk < kMatrixChunks; ++chunk) query.set(chunk, 0, head.values[chunk]);
      const int positions[1] = {row < attention.group_size ? stored - 1 : -1};
      MatrixStripe<Shape> stripe;
      stripe.clear();
      for (int begin = blocks.first; begin < stored;) {
#pragma unroll
        for (int i = 0; i < kAhead; ++i) {
          if (begin >= stored) break;
          stripe.add_block(begin, query, positions, past.words[i]);
          const int next = begin + kAhead * blocks.step;
          if (next < stored) past.load(call, place, blocks, i, next, stored);
          begin += blocks.step;
        }
      }
      put_stripe(stripe, call, place, memory.stripes);
    }
  }
  MARK(4);
  __syncthreads();
  MARK(5);
  const int num_stripes = past_stripes + (has_new ? 1 : 0);
  if (threadIdx.x == 0)
    memory.has_sums->arrive_and_expect(static_cast<uint32_t>(num_shares * attention.num_heads) *
                                       (kSumPacks + 1) * 16);
  if (num_stripes > 0)
    send_shares(call, place, num_stripes, memory.stripes, shared_address(memory.shares),
                shared_address(memory.has_sums));
  MARK(6);
  if (place.warp < attention.num_heads) {
    HeadWeights<kSquares> weights;
    memory.has_weight->wait(0);
    weights.load(call, place, memory);
    MARK(7);
    memory.has_sums->wait(0);
    MARK(8);
    multiply_head(weights, merge_shares(call, place, num_shares, memory.shares), place, memory.products);
  }
  MARK(9);
  __syncthreads();
  if (threadIdx.x < kColumns) {
    const float sum = sum_heads<kSquares>(attention.num_heads, memory.products + threadIdx.x);
    residual[threadIdx.x] = __fadd_rn(addend, sum);
  }
  MARK(10);
#ifdef AO_TIMES
  if (threadIdx.x == 0 && blockIdx.x == 0) {
    for (int i = 0; i < 11; ++i) g_times[g_time_layer % 64][i] = marks[i];
    ++g_time_layer;
  }
#endif
#endif
}

template <int kSquares, int kAhead, int kMaxThreads>
void launch_squares(const ClusterCall& call, gpuStream_t stream) {
  const ClusterLaunch launch = {static_cast<unsigned>(call.num_blocks()),
                                static_cast<unsigned>(32 * std::max(call.attention.num_heads, kMaxStripes)),
                                Memory<kSquares>::bytes(call), stream};
  launch.run(attend_and_multiply<kSquares, kAhead, kMaxThreads>, static_cast<unsigned>(call.attention.tokens),
             call);
}

}  // namespace

int g_variant = 311;

int attention_out_splits(const AttentionOutSize& size) {
  return size.num_heads <= kMaxHeads && size.kv_heads == 3 && size.hidden == 576 ? 4 : 0;
}

bool launch_attention_out_sm90(const AttentionOutCall& call, gpuStream_t stream) {
  ClusterCall cluster = {};
  cluster.attention = call.attention;
  cluster.rows = call.rows;
  cluster.weight = call.linear.linear.weight;
  cluster.residual = static_cast<float*>(call.linear.linear.y.data);
  cluster.residual_stride = call.linear.linear.y.outer_stride;
  const int squares = g_variant / 100;
  cluster.splits = static_cast<int>(call.linear.linear.y.width) / kSquare / squares / call.attention.kv_heads;
  switch (g_variant) {
    case 311:
      launch_squares<3, 1, 512>(cluster, stream);
      return true;
    case 312:
      launch_squares<3, 1, 576>(cluster, stream);
      return true;
    case 320:
      launch_squares<3, 2, 384>(cluster, stream);
      return true;
    case 411:
      launch_squares<4, 1, 512>(cluster, stream);
      return true;
    case 420:
      launch_squares<4, 2, 384>(cluster, stream);
      return true;
    case 611:
      launch_squares<6, 1, 512>(cluster, stream);
      return true;
    case 620:
      launch_squares<6, 2, 384>(cluster, stream);
      return true;
  }
  return false;
}

}  // namespace musaic
