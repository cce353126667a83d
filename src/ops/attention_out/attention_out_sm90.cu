#include "gpu_copy.cuh"
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

using Shape = MatrixShape<DType::kBF16, 8>;
using Factor = Shape::Factor;

constexpr int kMaxStripes = kMatrixStripes + 1;  // of a block: one of the new position
constexpr int kSumRow = kMatrixDim + 8;          // floats of a row: sums, then maximum and weight
constexpr int kSumPacks = kMatrixDim / 4;
static_assert(kMatrixDim == 2 * kChunk, "a head is a segment of the linear's sum: two chunks");

// kSplits: parts of a kv head's positions; kSquares: sixteen columns of the residual each, of a block.
template <int kKvHeads_, int kGroup_, int kSplits_, int kSquares_>
struct ClusterShape {
  static constexpr int kKvHeads = kKvHeads_;
  static constexpr int kGroup = kGroup_;
  static constexpr int kSplits = kSplits_;
  static constexpr int kSquares = kSquares_;
  static constexpr int kHeads = kKvHeads * kGroup;
  static constexpr int kBlocks = kKvHeads * kSplits;
  static constexpr int kColumns = kSquares * kSquare;
  static constexpr int kHidden = kBlocks * kColumns;
  static constexpr int kWarps = kHeads > kMaxStripes ? kHeads : kMaxStripes;
  static constexpr int kThreads = 32 * kWarps;
  static constexpr int kRowBytes = kHeads * kMatrixDim * 2;  // of the weight
  static constexpr int kWeightStride = kRowBytes + 64;       // so that lanes meet different banks
  // Leaves registers for blocks of the launches before and behind, where there are enough.
  static constexpr int kMaxThreads = kThreads <= 288 ? 2 * kThreads : 512;
  static_assert(kBlocks <= 16, "a cluster has sixteen blocks at most");
};

struct ClusterCall {
  AttentionCall attention;
  NewRows rows;
  const uint8_t* weight;  // [hidden, num_heads · kMatrixDim]
  float* residual;
  int64_t residual_stride;
  int page_shift;
};

// A block's shared memory.
template <class Size>
struct alignas(128) Memory {
  static constexpr uint32_t kShareBytes = Size::kHeads * (kSumPacks + 1) * 16;  // what all kv heads send

  Barrier has_shares;
  alignas(128) uint8_t weight[Size::kColumns][Size::kWeightStride];
  alignas(16) float stripes[kMaxStripes][Size::kGroup][kSumRow];
  alignas(16) float shares[Size::kSplits][Size::kHeads][kSumRow];
  float products[Size::kHeads][Size::kColumns];
};

// Where the calling thread is.
template <class Size>
struct Place {
  int sequence = static_cast<int>(blockIdx.y);
  int block = static_cast<int>(blockIdx.x);  // of the cluster
  int kv_head = block / Size::kSplits;
  int split = block % Size::kSplits;
  int warp = static_cast<int>(threadIdx.x) / 32;
  int lane = static_cast<int>(threadIdx.x) % 32;
  int g = lane / 4;
  int t = lane % 4;
};

// The block's rows of the weight; they are there when all threads have waited for their batches and met.
template <class Size>
__device__ void fetch_weight(const ClusterCall& call, int block, Memory<Size>& memory) {
  constexpr int kPacks = Size::kRowBytes / 16;
  const uint8_t* from = call.weight + static_cast<int64_t>(block) * Size::kColumns * Size::kRowBytes;
#pragma unroll 4
  for (int i = threadIdx.x; i < Size::kColumns * kPacks; i += Size::kThreads)
    start_copy(&memory.weight[i / kPacks][i % kPacks * 16], from + i * 16, true);
  end_batch();
}

// A warp's stripe of the past: every so many blocks of positions. Registers for one are all that is left.
template <class Size>
struct PastStripe {
  static constexpr int kStep = kMatrixStripes * Size::kSplits * kMatrixBlock;

  KvWords words;
  int page;  // of the lane's group of eight positions
  const int32_t* table;
  int first;  // position

  // The page comes together with the sequence's length: behind its end whatever the table has there.
  __device__ void find(const ClusterCall& call, const Place<Size>& place) {
    first = (place.warp * Size::kSplits + place.split) * kMatrixBlock;
    table = call.attention.page_table + place.sequence * call.attention.max_pages;
    find_page(call, first);
  }
  __device__ void find_page(const ClusterCall& call, int begin) {
    page =
        table[min(group_position(begin) >> call.page_shift, static_cast<int>(call.attention.max_pages) - 1)];
  }
  // The block from `begin` on, and the page of the one behind it. REQUIRES: its own page was found.
  __device__ void load(const ClusterCall& call, int kv_head, int begin, int end) {
    const int page_size = 1 << call.page_shift, position = group_position(begin);
    const int row = (page * Size::kKvHeads + kv_head) * page_size + (position & (page_size - 1));
    load_block(call.attention, position < end ? row : 0, begin, end, words);
    if (begin + kStep < end) find_page(call, begin + kStep);
  }

 private:
  __device__ static int group_position(int begin) {
    return begin + static_cast<int>(threadIdx.x) % kMatrixGroups * 8;
  }
};

// What the block's columns of the residual were, read early.
template <class Size>
struct Residual {
  float* columns;
  float addend = 0.0f;

  __device__ Residual(const ClusterCall& call, const Place<Size>& place)
      : columns(call.residual + place.sequence * call.residual_stride + place.block * Size::kColumns) {
    if (threadIdx.x < Size::kColumns) addend = columns[threadIdx.x];
  }
  __device__ void add(const Memory<Size>& memory) const {
    if (threadIdx.x >= Size::kColumns) return;
    float sum = 0.0f;
#pragma unroll
    for (int head = 0; head < Size::kHeads; ++head) sum += memory.products[head][threadIdx.x];
    columns[threadIdx.x] = __fadd_rn(addend, sum);
  }
};

template <class Size>
__device__ LaneRotation rotation_of(const ClusterCall& call, const Place<Size>& place) {
  LaneRotation rotation;
  rotation.load(call.rows.cos_sin + place.sequence * call.rows.cos_sin_stride, place.t,
                call.rows.interleaved);
  return rotation;
}

// The lane's dimensions of row g of the group, rotated and scaled; zeros where there is none.
template <class Size>
__device__ LaneHead query_of(const ClusterCall& call, const Place<Size>& place,
                             const LaneRotation& rotation) {
  LaneHead head;
  head.clear();
  if (place.g < Size::kGroup)
    head.load(call.attention.query + place.sequence * call.attention.query_stride +
                  (place.kv_head * Size::kGroup + place.g) * kMatrixDim,
              place.t);
  rotation.rotate(head);
#pragma unroll
  for (int chunk = 0; chunk < kMatrixChunks; ++chunk) {
#pragma unroll
    for (int i = 0; i < 8; ++i) head.values[chunk][i] *= call.attention.scale;
  }
  return head;
}

template <class Size>
__device__ void attend_to_past(const ClusterCall& call, const Place<Size>& place, const LaneHead& query_row,
                               int stored, PastStripe<Size>& past, float (&sums)[Size::kGroup][kSumRow]) {
  MatrixQuery<Shape> query;
#pragma unroll
  for (int chunk = 0; chunk < kMatrixChunks; ++chunk) query.set(chunk, 0, query_row.values[chunk]);
  const int positions[1] = {place.g < Size::kGroup ? stored - 1 : -1};
  MatrixStripe<Shape> stripe;
  stripe.clear();
  for (int begin = past.first; begin < stored; begin += past.kStep) {
    stripe.add_block(begin, query, positions, past.words);
    if (begin + past.kStep < stored) past.load(call, place.kv_head, begin + past.kStep, stored);
  }
  const bool is_row = place.g < Size::kGroup;
  float* row = sums[is_row ? place.g : 0];
  stripe.put_row(0, is_row, row, row + kMatrixDim, row + kMatrixDim + 1);
}

// A query, key or value row as the cache keeps it.
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

template <class Size>
__device__ void store_new(const ClusterCall& call, const Place<Size>& place, int slot,
                          const uint4 (&key)[kMatrixChunks], const uint4 (&value)[kMatrixChunks]) {
  const AttentionCall& attention = call.attention;
  const int page_size = 1 << call.page_shift;
  const int64_t row =
      (static_cast<int64_t>(slot >> call.page_shift) * Size::kKvHeads + place.kv_head) * page_size +
      (slot & (page_size - 1));
  uint4* keys = reinterpret_cast<uint4*>(const_cast<uint8_t*>(attention.key_cache) + row * kMatrixDim * 2);
  uint4* values =
      reinterpret_cast<uint4*>(const_cast<uint8_t*>(attention.value_cache) + row * kMatrixDim * 2);
#pragma unroll
  for (int chunk = 0; chunk < kMatrixChunks; ++chunk) {
    keys[chunk * 4 + place.t] = key[chunk];
    values[chunk * 4 + place.t] = value[chunk];
  }
}

// The stripe of the new position alone, by one warp, which stores its key and value too. `query`: scaled.
template <class Size>
__device__ void attend_to_new(const ClusterCall& call, const Place<Size>& place, LaneHead& query,
                              const LaneRotation& rotation, int slot,
                              float (&stripe)[Size::kGroup][kSumRow]) {
  LaneHead key, value;
  uint4 words[kMatrixChunks], key_words[kMatrixChunks], value_words[kMatrixChunks];
  key.load(call.rows.key + place.sequence * call.rows.key_stride + place.kv_head * kMatrixDim, place.t);
  value.load(call.rows.value + place.sequence * call.rows.value_stride + place.kv_head * kMatrixDim, place.t);
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
  if (place.g == 0) store_new(call, place, slot, key_words, value_words);
  if (place.g >= Size::kGroup) return;
  float* sums = stripe[place.g];
#pragma unroll
  for (int chunk = 0; chunk < kMatrixChunks; ++chunk) {
#pragma unroll
    for (int i = 0; i < 8; ++i)
      sums[MatrixMemory<Shape>::column_of(chunk * 32 + i) + place.t] = value.values[chunk][i];
  }
  if (place.t == 0) *reinterpret_cast<float2*>(sums + kMatrixDim) = make_float2(score, 1.0f);
}

// Sums of 2^(score - maximum), of one row and some of its values.
struct RowSum {
  float maximum = kNoMaximum;
  float weight = 0.0f;
  float4 values = {0, 0, 0, 0};

  // kCount rows at most, of which the first `count` are there, `stride` floats apart; all are read at once.
  template <int kCount>
  __device__ void add(const float* first, int stride, int four, int count) {
    float2 about[kCount];
    float4 more[kCount];
    float largest = maximum;
#pragma unroll
    for (int s = 0; s < kCount; ++s) {
      about[s] = make_float2(kNoMaximum, 0.0f);
      more[s] = make_float4(0, 0, 0, 0);
      if (s < count) {
        about[s] = *reinterpret_cast<const float2*>(first + s * stride + kMatrixDim);
        more[s] = *reinterpret_cast<const float4*>(first + s * stride + 4 * four);
      }
      largest = fmaxf(largest, about[s].x);
    }
    const float keep = exp2f(maximum - largest);
    maximum = largest;
    weight *= keep;
    values = make_float4(values.x * keep, values.y * keep, values.z * keep, values.w * keep);
#pragma unroll
    for (int s = 0; s < kCount; ++s) {
      const float take = exp2f(about[s].x - largest);
      weight = fmaf(about[s].y, take, weight);
      values.x = fmaf(more[s].x, take, values.x);
      values.y = fmaf(more[s].y, take, values.y);
      values.z = fmaf(more[s].z, take, values.z);
      values.w = fmaf(more[s].w, take, values.w);
    }
  }
};

// The block's sums, in the order of its stripes, to all blocks of the cluster. Four values are a pack, which
// some threads add up alike, each for some of the blocks.
template <class Size>
__device__ void send_share(const Place<Size>& place, int num_stripes, Memory<Size>& memory) {
  constexpr int kPacks = Size::kGroup * kSumPacks, kSenders = Size::kThreads / kPacks;
  const int pack = static_cast<int>(threadIdx.x) % kPacks, sender = static_cast<int>(threadIdx.x) / kPacks;
  const int row = pack / kSumPacks, four = pack % kSumPacks;
  constexpr int kAtOnce = 3, kStride = Size::kGroup * kSumRow;
  RowSum sum;
#pragma unroll
  for (int s = 0; s < kMaxStripes; s += kAtOnce) {
    if (s < num_stripes) sum.add<kAtOnce>(memory.stripes[s][row], kStride, four, num_stripes - s);
  }
  if (sender >= kSenders) return;
  float* share = memory.shares[place.split][place.kv_head * Size::kGroup + row];
  const uint32_t to = shared_address(share), barrier = shared_address(&memory.has_shares);
#pragma unroll
  for (int i = 0; i < (Size::kBlocks + kSenders - 1) / kSenders; ++i) {
    const int block = sender + i * kSenders;
    if (block >= Size::kBlocks) break;
    const uint32_t there = address_in_block(to, block), barrier_there = address_in_block(barrier, block);
    store_in_block(there + 16 * four, sum.values, barrier_there);
    if (four == 0)
      store_in_block(there + 4 * kMatrixDim, make_float4(sum.maximum, sum.weight, 0, 0), barrier_there);
  }
}

// Dimensions 2 · lane and the next one of the warp's head, as the linear takes them.
template <class Size>
__device__ uint32_t merge_shares(const Place<Size>& place, int num_shares, const Memory<Size>& memory) {
  const float* first = memory.shares[0][place.warp];
  constexpr int kStride = Size::kHeads * kSumRow;
  const int column = MatrixMemory<Shape>::column_of(2 * place.lane);
  float2 about[Size::kSplits], values[Size::kSplits];
  float largest = kNoMaximum;
#pragma unroll
  for (int s = 0; s < Size::kSplits; ++s) {
    about[s] = make_float2(kNoMaximum, 0.0f);
    values[s] = make_float2(0.0f, 0.0f);
    if (s < num_shares) {
      about[s] = *reinterpret_cast<const float2*>(first + s * kStride + kMatrixDim);
      values[s].x = first[s * kStride + column];
      values[s].y = first[s * kStride + column + kMatrixColumns];
    }
    largest = fmaxf(largest, about[s].x);
  }
  float weight = 0.0f, a = 0.0f, b = 0.0f;
#pragma unroll
  for (int s = 0; s < Size::kSplits; ++s) {
    const float take = exp2f(about[s].x - largest);
    weight = fmaf(about[s].y, take, weight);
    a = fmaf(values[s].x, take, a);
    b = fmaf(values[s].y, take, b);
  }
  const float inverse = __fdividef(1.0f, weight);
  return bf16_pair(a * inverse, b * inverse);
}

// The weights that meet the warp's head.
template <class Size>
struct HeadWeights {
  WeightChunk chunks[kMatrixChunks][Size::kSquares];

  __device__ void load(const Place<Size>& place, const Memory<Size>& memory) {
    const uint8_t* from = &memory.weight[place.g][(place.warp * kMatrixDim + 8 * place.t) * 2];
#pragma unroll
    for (int c = 0; c < kMatrixChunks; ++c) {
#pragma unroll
      for (int s = 0; s < Size::kSquares; ++s) {
        const uint8_t* at = from + s * kSquare * Size::kWeightStride + c * kChunk * 2;
        chunks[c][s].low = *reinterpret_cast<const uint4*>(at);
        chunks[c][s].high = *reinterpret_cast<const uint4*>(at + 8 * Size::kWeightStride);
      }
    }
  }
};

// A segment of each of the block's sums. All columns of a product's right factor are the same.
template <class Size>
__device__ void multiply_head(const HeadWeights<Size>& weights, uint32_t pair, const Place<Size>& place,
                              Memory<Size>& memory) {
  ChainSums<1> sums[Size::kSquares][1];
#pragma unroll
  for (int s = 0; s < Size::kSquares; ++s) sums[s][0].clear();
#pragma unroll
  for (int c = 0; c < kMatrixChunks; ++c) {
    uint32_t words[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) words[i] = __shfl_sync(kAllLanes, pair, 16 * c + 4 * place.t + i);
    XChunk<1> x[1];
    x[0].parts[0] = make_uint4(words[0], words[1], words[2], words[3]);
    add_products(weights.chunks[c], x, sums);
  }
  if (place.t > 0) return;
  float* row = memory.products[place.warp] + place.g;
#pragma unroll
  for (int s = 0; s < Size::kSquares; ++s) {
    row[s * kSquare] = sums[s][0].sum(0);
    row[s * kSquare + 8] = sums[s][0].sum(2);
  }
}

// kAlone: a multiprocessor has one such block at a time.
template <class Size, bool kAlone>
__global__ void __launch_bounds__(Size::kMaxThreads, 1) attend_and_multiply(ClusterCall call) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  extern __shared__ __align__(128) unsigned char shared[];
  Memory<Size>& memory = *reinterpret_cast<Memory<Size>*>(shared);
  const Place<Size> place;
  const AttentionCall& attention = call.attention;
  const bool attends = place.warp < kMatrixStripes, is_last_warp = place.warp == Size::kWarps - 1;
  PastStripe<Size> past;
  past.find(call, place);
  const int length = attention.kv_lengths[place.sequence];
  const int new_slot = call.rows.slots[place.sequence];
  const bool is_live = place.sequence < *attention.num_sequences;
  if (threadIdx.x == 0) {
    memory.has_shares.init(1);
    publish_barriers();
  }
  announce_to_cluster();
  const int stored = is_live ? length - 1 : 0;  // positions that the cache has
  past.load(call, place.kv_head, past.first, attends ? stored : 0);
  fetch_weight(call, place.block, memory);
  const int num_blocks = (stored + kMatrixBlock - 1) / kMatrixBlock;
  const int num_shares = min(Size::kSplits, num_blocks + 1);
  const bool has_new = place.split == num_shares - 1;
  const int past_stripes =
      min(kMatrixStripes, (num_blocks - place.split + Size::kSplits - 1) / Size::kSplits);
  wait_for_cluster();
  wait_for_previous_kernel();
  if (!is_live) {
    wait_for_batches<0>();
    return;
  }

  Residual<Size> residual(call, place);
  if ((attends && past.first < stored) || (is_last_warp && has_new)) {
    const LaneRotation rotation = rotation_of(call, place);
    LaneHead query = query_of(call, place, rotation);
    if (attends) {
      attend_to_past(call, place, query, stored, past, memory.stripes[place.warp]);
    } else {
      attend_to_new(call, place, query, rotation, new_slot, memory.stripes[past_stripes]);
    }
  }
  wait_for_batches<0>();
  __syncthreads();
  if (threadIdx.x == 0)
    memory.has_shares.arrive_and_expect(static_cast<uint32_t>(num_shares) * Memory<Size>::kShareBytes);
  const int num_stripes = past_stripes + (has_new ? 1 : 0);
  if (num_stripes > 0) send_share(place, num_stripes, memory);
  if (place.warp < Size::kHeads) {
    HeadWeights<Size> weights;
    weights.load(place, memory);
    memory.has_shares.wait(0);
    multiply_head(weights, merge_shares(place, num_shares, memory), place, memory);
  }
  __syncthreads();
  residual.add(memory);
#endif
}

constexpr int64_t kMaxSequences = 8;  // two launches are faster for more

template <class Size, bool kAlone>
ClusterLaunch cluster_launch(gpuStream_t stream) {
  constexpr size_t kMoreThanHalf = 116 << 10;  // of a multiprocessor's shared memory
  constexpr size_t kBytes = sizeof(Memory<Size>);
  return {Size::kBlocks, Size::kThreads, kAlone && kBytes < kMoreThanHalf ? kMoreThanHalf : kBytes, stream};
}

// How many clusters the device runs at once; 0: it takes no such launch.
template <class Size, bool kAlone>
int active_clusters() {
  static const int count = [] {
    const ClusterLaunch launch = cluster_launch<Size, kAlone>(nullptr);
    const auto kernel = attend_and_multiply<Size, kAlone>;
    return launch.can_run(kernel) ? launch.max_active(kernel) : 0;
  }();
  return count;
}

template <class Size, bool kAlone>
void launch_clusters(const ClusterCall& call, gpuStream_t stream) {
  cluster_launch<Size, kAlone>(stream).run(attend_and_multiply<Size, kAlone>,
                                           dim3(Size::kBlocks, static_cast<unsigned>(call.attention.tokens)),
                                           call);
}

// One cluster starts sooner beside blocks of the launch before; some do not disturb one another where there
// is room for all of them apart.
template <class Size>
bool launch_size(const ClusterCall& call, gpuStream_t stream) {
  const int64_t sequences = call.attention.tokens;
  if (active_clusters<Size, false>() == 0) return false;
  if (sequences > 1 && sequences <= active_clusters<Size, true>()) {
    launch_clusters<Size, true>(call, stream);
  } else {
    launch_clusters<Size, false>(call, stream);
  }
  return true;
}

// Calls `use` with a ClusterShape that fits, if there is one.
template <class Use>
bool with_shape(const AttentionOutSize& size, Use use) {
  const auto is_size = [&](auto shape) {
    using Size = decltype(shape);
    return size.num_heads == Size::kHeads && size.kv_heads == Size::kKvHeads && size.hidden == Size::kHidden;
  };
  const auto use_if_size = [&](auto shape) { return is_size(shape) && use(shape); };
  return use_if_size(ClusterShape<3, 3, 4, 3>()) || use_if_size(ClusterShape<5, 3, 3, 4>()) ||
         use_if_size(ClusterShape<2, 7, 7, 4>());
}

ClusterCall cluster_call(const AttentionOutCall& call) {
  ClusterCall cluster = {};
  cluster.attention = call.attention;
  cluster.rows = call.rows;
  cluster.weight = call.linear.linear.weight;
  cluster.residual = static_cast<float*>(call.linear.linear.y.data);
  cluster.residual_stride = call.linear.linear.y.outer_stride;
  while (1 << cluster.page_shift < call.attention.page_size) ++cluster.page_shift;
  return cluster;
}

}  // namespace

bool has_attention_out_sm90(const AttentionOutSize& size) {
  return with_shape(size, [](auto) { return true; });
}

bool launch_attention_out_sm90(const AttentionOutCall& call, gpuStream_t stream) {
  const AttentionCall& attention = call.attention;
  const ClusterCall cluster = cluster_call(call);
  if (attention.tokens > kMaxSequences || 1 << cluster.page_shift != attention.page_size) return false;
  return with_shape({attention.num_heads, attention.kv_heads, call.linear.linear.y.width},
                    [&](auto shape) { return launch_size<decltype(shape)>(cluster, stream); });
}

}  // namespace musaic
