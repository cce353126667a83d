#include <algorithm>

#include "gpu_copy.cuh"
#include "gpu_launch.cuh"
#include "hopper.cuh"
#include "hopper_rows.cuh"
#include "ops/mla_attention/matrix_factor.cuh"
#include "ops/mla_attention/mla_rows.cuh"
#include "ops/mla_decode/mla_decode_gpu.h"
#include "ops/per_token_group_quant/group_of_128_gpu.cuh"
#include "ops/rms_norm/norm_row_gpu.cuh"
#include "ops/rope/rotate_gpu.cuh"

// A cluster of sixteen blocks for one to four sequences. Block b folds kv_b's key rows into head b of every
// sequence's query and sends it to the blocks that attend for the sequence; each of these attends with all
// heads to its share of the positions, and sends head h's sums to block h, which adds up the shares,
// multiplies them with its value rows of kv_b and quantizes the result. Weights and cached latents are on
// their way before the previous kernel has ended.
namespace musaic {
namespace {

constexpr int kHeads = kMlaHeadsAtOnce, kBlocks = kHeads;  // a block a head
constexpr int kRank = kMlaMatrixRank, kWidth = kMlaMatrixWidth, kRope = kWidth - kRank;
constexpr int kNope = 128, kValues = 128, kHeadDim = kNope + kRope;  // of a head
constexpr int kScaleBlock = 128;                                     // of kv_b
constexpr int kProductWarps = 8;                                     // of the query, of results and of values
constexpr int kSpareWarp = kProductWarps;
constexpr int kWarps = kProductWarps + 1;  // scores take all of them: 36 steps of 16 are 4 a warp
constexpr int kCopyWarps = 3;              // beside these
constexpr int kComputeThreads = kWarps * kWarpSize;
constexpr int kThreads = kComputeThreads + kCopyWarps * kWarpSize;
constexpr int kScoreSteps = kWidth / 16 / kWarps;
constexpr int kGroup = 16;  // positions: a step of the products with weights
constexpr int kTileGroups = 4;
constexpr int kTile = kTileGroups * kGroup;
constexpr int kUnits = kWidth / 8;
constexpr int kUnitBytes = 16;
constexpr int kPaddedRow = kWidth * 2 + kUnitBytes;      // neighbouring rows meet different banks
constexpr int kPaddedValueRow = kRank + 4 * kUnitBytes;  // likewise, two rows and four units at once
constexpr int kPaddedWeights = kTile * 2 + kUnitBytes;
constexpr int kPaddedAttended = kRank * 2 + kUnitBytes;
constexpr int kStageBytes = kTile * kPaddedRow;
constexpr int kStages = 2;
constexpr int kSharePacks = kRank / 4 + 1;  // of four sums, then maximum and weight
constexpr int kMaxSequences = 4;            // of a cluster: of two columns of a product each
static_assert(kValues * kPaddedValueRow <= kStageBytes, "value rows take the place of a tile");

using CacheProduct = Bf16Product;  // with latents
using KvBProduct = F16Product;     // with kv_b, exact in FP8

// Code is fetched as it runs, once a launch: conversions take one instruction each.
__device__ uint32_t f16_of_f8(uint32_t pair) {
  uint32_t words;
  asm("cvt.rn.f16x2.e4m3x2 %0, %1;" : "=r"(words) : "h"(static_cast<uint16_t>(pair)));
  return words;
}
__device__ void split_as_bf16(float a, float b, uint32_t (&parts)[kFactorParts]) {
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(parts[0]) : "f"(b), "f"(a));
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;"
      : "=r"(parts[1])
      : "f"(b - Bf16Factor::high(parts[0])), "f"(a - Bf16Factor::low(parts[0])));
}
__device__ void split_as_f16(float a, float b, uint32_t (&parts)[kFactorParts]) {
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(parts[0]) : "f"(b), "f"(a));
  asm("cvt.rn.f16x2.f32 %0, %1, %2;"
      : "=r"(parts[1])
      : "f"(b - F16Factor::high(parts[0])), "f"(a - F16Factor::low(parts[0])));
}

// How the cluster's blocks are divided among its sequences.
template <int kSequences_>
struct ClusterShape {
  static constexpr int kSequences = kSequences_;
  static constexpr int kSplits = kBlocks / kSequences;         // shares of a sequence's positions
  static constexpr int kSenders = kMaxSequences / kSequences;  // lanes that send the same
};

struct QueryRow {
  uint8_t bytes[kPaddedRow];
};

template <class Size>
struct alignas(128) Memory {
  Barrier has_query;
  Barrier has_shares;
  Barrier has_entry[kStages];
  Barrier is_free[kStages];
  alignas(128) uint8_t stages[kStages][kStageBytes];
  union {  // one after the other
    QueryRow query[kFactorParts][kHeads];
    float scores[kWarps][kHeads][kTile + 8];
    float4 shares[kBlocks][kSharePacks];
  };
  alignas(16) uint8_t weights[kFactorParts][kHeads][kPaddedWeights];
  alignas(16) uint8_t attended[Size::kSequences][kFactorParts][kPaddedAttended];
  alignas(16) float values[Size::kSequences][kValues];
  uint4 newest[kUnits];  // the row that the step adds to the cache
  float keep[kHeads];
};

// The cluster's sequences, read before the previous kernel has ended. Of one long sequence several clusters
// (blockIdx.z) may have every so many tiles each.
template <class Size>
struct Sequences {
  static constexpr int kClusterGroups = kTileGroups * Size::kSplits;  // of a tile of all blocks

  int first;                      // of the step
  int lengths[Size::kSequences];  // positions, the newest included; 0: there is no such sequence
  int shares[Size::kSequences];   // blocks of the cluster that have positions
  int clusters = 1;               // that have tiles of the first one

  __device__ explicit Sequences(const MlaCacheGpu& cache)
      : first(static_cast<int>(blockIdx.y) * Size::kSequences) {
    const int live = *cache.num_sequences;
#pragma unroll
    for (int i = 0; i < Size::kSequences; ++i) {
      lengths[i] = first + i < cache.sequences ? cache.kv_lengths[first + i] : 0;
      if (first + i >= live) lengths[i] = 0;
    }
    constexpr int kPositions = kClusterGroups * kGroup;  // another cluster costs less than another tile
    if (Size::kSequences == 1)
      clusters = min(static_cast<int>(gridDim.z), (lengths[0] + kPositions - 1) / kPositions);
#pragma unroll
    for (int i = 0; i < Size::kSequences; ++i)
      shares[i] = whole_tiles(i) > 0 ? Size::kSplits : min(Size::kSplits, other_groups(i));
  }
  __device__ int length(int of_cluster) const {
    return find(lengths, of_cluster);
  }
  __device__ int num_shares(int of_cluster) const {
    return find(shares, of_cluster);
  }
  // The cluster's tiles that all blocks have whole, and groups of the tile behind them.
  __device__ int whole_tiles(int of_cluster) const {
    return num_groups(of_cluster) / (clusters * kClusterGroups);
  }
  __device__ int other_groups(int of_cluster) const {
    const int left = num_groups(of_cluster) % (clusters * kClusterGroups);
    return max(0, min(kClusterGroups, left - static_cast<int>(blockIdx.z) * kClusterGroups));
  }
  __device__ int num_groups(int of_cluster) const {
    return (length(of_cluster) + kGroup - 1) / kGroup;
  }

 private:
  __device__ static int find(const int (&numbers)[Size::kSequences], int of_cluster) {
    int found = 0;
#pragma unroll
    for (int i = 0; i < Size::kSequences; ++i) found = i == of_cluster ? numbers[i] : found;
    return found;
  }
};

// Which sequence a block attends for, and which groups of its cluster's tiles: every kSplits-th from its own
// on.
template <class Size>
struct Place {
  int head = static_cast<int>(blockIdx.x);
  int of_cluster = head / Size::kSplits;
  int split = head % Size::kSplits;
  int sequence = static_cast<int>(blockIdx.y) * Size::kSequences + of_cluster;
};

template <class Size>
struct Share {
  int length;  // of the sequence
  int clusters;
  int split;
  int groups;
  bool has_newest;

  __device__ Share(const Sequences<Size>& sequences, const Place<Size>& place)
      : length(sequences.length(place.of_cluster)), clusters(sequences.clusters), split(place.split) {
    constexpr int kClusterGroups = Sequences<Size>::kClusterGroups;
    const int others = sequences.other_groups(place.of_cluster) - split + Size::kSplits - 1;
    groups = sequences.whole_tiles(place.of_cluster) * kTileGroups + max(0, others) / Size::kSplits;
    const int last = sequences.num_groups(place.of_cluster) - 1;
    has_newest = length > 0 && last / kClusterGroups % clusters == static_cast<int>(blockIdx.z) &&
                 last % Size::kSplits == split;
  }
  __device__ int tiles() const { return (groups + kTileGroups - 1) / kTileGroups; }
  // Rows of whole groups; of these, rows that are positions.
  __device__ int rows(int tile) const { return min(kTileGroups, groups - tile * kTileGroups) * kGroup; }
  __device__ int count(int tile) const {
    return has_newest && tile + 1 == tiles() ? rows(tile) - kGroup + (length - 1) % kGroup + 1 : rows(tile);
  }
  __device__ int position(int tile, int row) const {
    const int of_clusters = tile * clusters + static_cast<int>(blockIdx.z);
    return ((of_clusters * kTileGroups + row / kGroup) * Size::kSplits + split) * kGroup + row % kGroup;
  }
};

// What some warps bring while the others compute: entries pass through two stages, the share's tiles, then
// the head's value rows of kv_b.
template <class Size>
struct Entries {
  Memory<Size>& memory;

  __device__ uint8_t* stage(int entry) const { return memory.stages[entry % kStages]; }
  __device__ void wait(int entry) const { memory.has_entry[entry % kStages].wait(entry / kStages & 1); }
  // REQUIRES: called by all warps that compute.
  __device__ void release(int entry) const {
    __syncwarp();
    if (threadIdx.x % kWarpSize == 0) memory.is_free[entry % kStages].arrive();
  }
  __device__ void init() const {
    for (Barrier& barrier : memory.has_entry) barrier.init(kCopyWarps * kWarpSize);
    for (Barrier& barrier : memory.is_free) barrier.init(kWarps);
  }
};

// The calling warp's part of them: every kCopyWarps-th row, of which it knows the page a tile ahead.
template <class Size>
class EntryCopies {
 public:
  __device__ EntryCopies(const MlaDecodeCall& call, const Place<Size>& place, const Share<Size>& share,
                         const Entries<Size>& entries)
      : call_(call), place_(place), share_(share), entries_(entries) {
    find_rows(0);
  }
  __device__ int count() const { return share_.tiles() + 1; }
  __device__ void start(int entry) {
    if (entry >= kStages) entries_.memory.is_free[entry % kStages].wait((entry / kStages - 1) & 1);
    if (entry < share_.tiles()) {
      start_tile(entry);
      find_rows(entry + 1);
    } else {
      start_values(entry);
    }
    arrive_after_copies(entries_.memory.has_entry[entry % kStages]);
  }

 private:
  static constexpr int64_t kZeros = -1, kNewest = -2;  // in place of where a row lies
  static constexpr int kRows = (kTile + kCopyWarps - 1) / kCopyWarps;
  static_assert(kRows <= kWarpSize, "a lane knows one row of a tile");

  __device__ static int warp() { return static_cast<int>(threadIdx.x) / kWarpSize - kWarps; }
  __device__ static int lane() { return static_cast<int>(threadIdx.x) % kWarpSize; }

  // The lane's row of a tile.
  __device__ void find_rows(int tile) {
    const int row = warp() + lane() * kCopyWarps;
    from_ = kZeros;
    if (tile >= share_.tiles() || row >= share_.rows(tile)) return;
    const int position = share_.position(tile, row);
    if (position < share_.length - 1) from_ = 2 * cached_row(call_.cache, place_.sequence, position);
    if (position == share_.length - 1) from_ = kNewest;
  }
  __device__ void start_tile(int tile) const {
    uint8_t* stage = entries_.stage(tile);
    const int rows = share_.rows(tile);
#pragma unroll 2
    for (int i = 0; i < kRows; ++i) {
      const int row = warp() + i * kCopyWarps;
      const int64_t from = __shfl_sync(kAllLanes, from_, i);
      if (row >= rows || from == kNewest) continue;
      for (int unit = lane(); unit < kUnits; unit += kWarpSize)
        start_copy(stage + row * kPaddedRow + unit * kUnitBytes,
                   call_.cache.data + max(from, int64_t{0}) + unit * kUnitBytes, from >= 0);
    }
  }
  __device__ void start_values(int entry) const {
    const uint8_t* from =
        call_.kv_b.data + (static_cast<int64_t>(place_.head) * (kNope + kValues) + kNope) * kRank;
    uint8_t* stage = entries_.stage(entry);
#pragma unroll 4
    for (int row = warp(); row < kValues; row += kCopyWarps)
      start_copy(stage + row * kPaddedValueRow + lane() * kUnitBytes,
                 from + row * kRank + lane() * kUnitBytes, true);
  }

  const MlaDecodeCall& call_;
  const Place<Size>& place_;
  const Share<Size>& share_;
  const Entries<Size>& entries_;
  int64_t from_;
};

// The head's key rows of kv_b, 64 columns a warp: in the rows 2t, 2t + 1, 2t + 8 and 2t + 9 of each step
// eight columns a lane.
struct KeyRows {
  static constexpr int kSteps = kNope / 16;
  uint2 rows[kSteps][4];
  float scale;

  __device__ void load(const KvBGpu& kv_b, int head, const MatrixLane& lane) {
    const int column = 64 * lane.warp + 8 * lane.g;
    const int64_t first = static_cast<int64_t>(head) * (kNope + kValues) + 2 * lane.t;
#pragma unroll
    for (int step = 0; step < kSteps; ++step) {
#pragma unroll
      for (int i = 0; i < 4; ++i)
        rows[step][i] = *reinterpret_cast<const uint2*>(
            kv_b.data + (first + 16 * step + i % 2 + i / 2 * 8) * kRank + column);
    }
    scale = kv_b.scale[2 * head * kv_b.scale_columns + column / kScaleBlock];
  }
  // Columns 4 · half and the next three as left factors of two products.
  __device__ void factors(int step, int half, uint32_t (&left)[2][4]) const {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const uint2 &upper = rows[step][2 * i], &lower = rows[step][2 * i + 1];
      const uint32_t a = half == 0 ? upper.x : upper.y, b = half == 0 ? lower.x : lower.y;
#pragma unroll
      for (int product = 0; product < 2; ++product) {
        const uint32_t pairs = __byte_perm(a, b, product == 0 ? 0x5140 : 0x7362);
        left[product][2 * i] = f16_of_f8(pairs);
        left[product][2 * i + 1] = f16_of_f8(pairs >> 16);
      }
    }
  }
};

// What does not rotate of the head's queries as a right factor: columns 2s and 2s + 1 are the two parts of
// sequence s.
template <class Size>
struct QueryColumns {
  uint32_t words[KeyRows::kSteps][2];

  __device__ void load(const LatentWriteCall& call, const Sequences<Size>& sequences, int head,
                       const MatrixLane& lane) {
    const int of_cluster = lane.g / 2;
    const bool is_live = sequences.length(of_cluster) > 0;
    const float* from =
        row_of<const float>(call.query, sequences.first + of_cluster) + head * kHeadDim + 2 * lane.t;
    float2 pairs[KeyRows::kSteps][2];
#pragma unroll
    for (int step = 0; step < KeyRows::kSteps; ++step) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        pairs[step][i] = make_float2(0.0f, 0.0f);
        if (is_live) pairs[step][i] = *reinterpret_cast<const float2*>(from + 16 * step + 8 * i);
      }
    }
#pragma unroll
    for (int step = 0; step < KeyRows::kSteps; ++step) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        uint32_t parts[kFactorParts];
        split_as_f16(pairs[step][i].x, pairs[step][i].y, parts);
        words[step][i] = parts[lane.g % 2];
      }
    }
  }
};

// Eight values of a row that is sent as two factors.
struct SplitUnit {
  uint4 parts[kFactorParts];

  __device__ explicit SplitUnit(const float (&values)[8]) {
    uint32_t words[4][kFactorParts];
#pragma unroll
    for (int i = 0; i < 4; ++i) split_as_bf16(values[2 * i], values[2 * i + 1], words[i]);
#pragma unroll
    for (int p = 0; p < kFactorParts; ++p)
      parts[p] = make_uint4(words[0][p], words[1][p], words[2][p], words[3][p]);
  }
};

// Which sequence of the cluster a lane sends queries of, and that it sends them to every kSenders-th block.
template <class Size>
struct QuerySender {
  int of_cluster;
  int sender;

  __device__ explicit QuerySender(int lane)
      : of_cluster(lane / Size::kSenders), sender(lane % Size::kSenders) {}
};

// A unit of the block's head to the blocks that have a share of the sequence.
template <class Size>
__device__ void send_query(const SplitUnit& values, int unit, const QuerySender<Size>& from, int shares,
                           Memory<Size>& memory) {
  constexpr int kEach = (Size::kSplits + Size::kSenders - 1) / Size::kSenders;
  const uint32_t barrier = shared_address(&memory.has_query);
#pragma unroll
  for (int i = 0; i < kEach; ++i) {
    const int split = from.sender + i * Size::kSenders;
    if (split >= shares) break;
    const int block = from.of_cluster * Size::kSplits + split;
    const uint32_t barrier_there = address_in_block(barrier, block);
#pragma unroll
    for (int p = 0; p < kFactorParts; ++p) {
      const uint32_t to = shared_address(memory.query[p][blockIdx.x].bytes + unit * kUnitBytes);
      const uint4& word = values.parts[p];
      store_in_block(address_in_block(to, block),
                     make_float4(__uint_as_float(word.x), __uint_as_float(word.y), __uint_as_float(word.z),
                                 __uint_as_float(word.w)),
                     barrier_there);
    }
  }
}

// The queries through the head's key rows. Of a quad lane t has sequence t.
template <class Size>
__device__ void absorb_query(const MlaDecodeCall& call, const Sequences<Size>& sequences, const KeyRows& keys,
                             const QueryColumns<Size>& query, const MatrixLane& lane, Memory<Size>& memory) {
  float products[4][4] = {};
#pragma unroll
  for (int step = 0; step < KeyRows::kSteps; ++step) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      uint32_t left[2][4];
      keys.factors(step, half, left);
      KvBProduct::add(products[2 * half], left[0], query.words[step]);
      KvBProduct::add(products[2 * half + 1], left[1], query.words[step]);
    }
  }
  const float scale = keys.scale * call.scale;
  const QuerySender<Size> from(lane.t);
  const int source = static_cast<int>(threadIdx.x) % kWarpSize / 4 * 4 + from.of_cluster;
  float values[8];
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    const float value = (products[i / 2][i % 2 * 2] + products[i / 2][i % 2 * 2 + 1]) * scale;
    values[i] = __shfl_sync(kAllLanes, value, source);
  }
  wait_for_cluster();
  send_query(SplitUnit(values), 8 * lane.warp + lane.g, from, sequences.num_shares(from.of_cluster), memory);
}

// Values 8 · unit .. of what rotates, [kRope].
__device__ void rotated_eight(const float* row, const float* cos_sin, int unit, bool interleaved,
                              float (&values)[8]) {
  constexpr int kHalf = kRope / 2;
  if (interleaved) {
    Pairs<4> pairs = load_pairs<float, 4>(row, 4 * unit, kHalf, true);
    rotate(pairs, cos_sin, 4 * unit, kHalf);
#pragma unroll
    for (int i = 0; i < 8; ++i) values[i] = i % 2 == 0 ? pairs.a[i / 2] : pairs.b[i / 2];
    return;
  }
  const int first = 8 * unit % kHalf;
  Pairs<8> pairs = load_pairs<float, 8>(row, first, kHalf, false);
  rotate(pairs, cos_sin, first, kHalf);
#pragma unroll
  for (int i = 0; i < 8; ++i) values[i] = 8 * unit < kHalf ? pairs.a[i] : pairs.b[i];
}

// What rotates of the head's queries, by one warp: eight lanes have a sequence's.
template <class Size>
__device__ void rotate_query(const MlaDecodeCall& call, const Sequences<Size>& sequences, int head,
                             Memory<Size>& memory) {
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize, unit = lane % 8;
  const QuerySender<Size> from(lane / 8);
  const int sequence = sequences.first + from.of_cluster, shares = sequences.num_shares(from.of_cluster);
  const float* row = row_of<const float>(call.write.query, sequence) + head * kHeadDim + kNope;
  float values[8] = {};
  if (shares > 0)
    rotated_eight(row, row_of<const float>(call.write.cos_sin, sequence), unit, call.write.interleaved,
                  values);
  wait_for_cluster();
#pragma unroll
  for (int i = 0; i < 8; ++i) values[i] *= call.scale;
  send_query(SplitUnit(values), kRank / 8 + unit, from, shares, memory);
}

// The row that a sequence adds to the cache, by one warp, with the bits of musaic::norm_latent_write.
class NewestRow {
 public:
  // What is known before the previous kernel has ended.
  __device__ void load_ahead(const MlaDecodeCall& call, int sequence) {
    slot_ = call.write.slots[sequence];
#pragma unroll
    for (int p = 0; p < kParts; ++p) {
      if (call.norm.dtype == DType::kF32) load_weight<float>(call.norm, p);
      if (call.norm.dtype == DType::kF16) load_weight<__half>(call.norm, p);
      if (call.norm.dtype == DType::kBF16) load_weight<gpuBfloat16>(call.norm, p);
    }
  }
  __device__ void load(const MlaDecodeCall& call, int sequence) {
    const float* latent = row_of<const float>(call.write.latent, sequence);
#pragma unroll
    for (int p = 0; p < kParts; ++p) load_pack<float>(latent + column(p), 4, true, latents_[p]);
    rotated_eight(row_of<const float>(call.write.rope_key, sequence),
                  row_of<const float>(call.write.cos_sin, sequence),
                  static_cast<int>(threadIdx.x) % kKeyUnits, call.write.interleaved, key_);
  }
  __device__ void write(const MlaDecodeCall& call, uint4* newest) {
    const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
    gpuBfloat16* cached = static_cast<gpuBfloat16*>(call.write.cache) + static_cast<int64_t>(slot_) * kWidth;
    gpuBfloat16* kept = reinterpret_cast<gpuBfloat16*>(newest);
    const float factor = norm_factor(call.norm.eps);
#pragma unroll
    for (int p = 0; p < kParts; ++p) {
      scale_pack(factor, weights_[p], latents_[p]);
      store_pack(latents_[p], cached + column(p), 4, true);
      store_pack(latents_[p], kept + column(p), 4, true);
    }
    if (lane < kKeyUnits) {
      store_pack(key_, cached + kRank + 8 * lane, 8, true);
      store_pack(key_, kept + kRank + 8 * lane, 8, true);
    }
    __syncwarp();
  }

 private:
  static constexpr int kParts = kRank / (4 * kWarpSize);  // of a warp each where a block norms
  static constexpr int kKeyUnits = kRope / 8;

  __device__ static int column(int part) {
    return 4 * (part * kWarpSize + static_cast<int>(threadIdx.x) % kWarpSize);
  }
  template <class W>
  __device__ void load_weight(const LatentNorm& norm, int part) {
    load_pack(static_cast<const W*>(norm.weight) + column(part), 4, true, weights_[part]);
  }
  __device__ float norm_factor(float eps) const {
    float squares[kParts];
#pragma unroll
    for (int p = 0; p < kParts; ++p) squares[p] = add_squares(latents_[p], 0.0f);
    for (int distance = kWarpSize / 2; distance > 0; distance /= 2) {
#pragma unroll
      for (int p = 0; p < kParts; ++p) squares[p] += __shfl_xor_sync(kAllLanes, squares[p], distance);
    }
    float sum = 0.0f;
#pragma unroll
    for (int p = 0; p < kParts; ++p) sum += squares[p];
    const float mean = __fdiv_rn(sum, static_cast<float>(kRank));
    return __fdiv_rn(1.0f, __fsqrt_rn(__fadd_rn(mean, eps)));
  }

  int slot_;
  float latents_[kParts][4];
  float weights_[kParts][4];
  float key_[8];
};

// The newest row into its tile, by one warp.
template <class Size>
__device__ void put_newest(uint8_t* row, const Memory<Size>& memory) {
  for (int unit = static_cast<int>(threadIdx.x) % kWarpSize; unit < kUnits; unit += kWarpSize)
    reinterpret_cast<uint4*>(row)[unit] = memory.newest[unit];
}

// A warp's four steps of the query.
struct QuerySteps {
  uint32_t words[kScoreSteps][kFactorParts][4];

  template <class Size>
  __device__ void load(const Memory<Size>& memory, const MatrixLane& lane) {
    const int l = static_cast<int>(threadIdx.x) % kWarpSize;
#pragma unroll
    for (int step = 0; step < kScoreSteps; ++step) {
      const int unit = 2 * (lane.warp * kScoreSteps + step) + l / 16;
#pragma unroll
      for (int p = 0; p < kFactorParts; ++p)
        load_matrices(memory.query[p][l % 16].bytes + unit * kUnitBytes, words[step][p]);
    }
  }
};

// The warp's steps of the tile's scores.
template <class Size>
__device__ void score_tile(const uint8_t* tile, int count, const QuerySteps& query, const MatrixLane& lane,
                           Memory<Size>& memory) {
  const int l = static_cast<int>(threadIdx.x) % kWarpSize;
  const uint8_t* from =
      tile + (l / 16 * 8 + l % 8) * kPaddedRow + (2 * lane.warp * kScoreSteps + l / 8 % 2) * kUnitBytes;
  float sums[kTile / 8][4] = {};
#pragma unroll
  for (int step = 0; step < kScoreSteps; ++step) {
#pragma unroll
    for (int i = 0; i < kTile / 8; i += 2) {
      if (8 * i >= count) break;
      uint32_t keys[4];
      load_matrices(from + i * 8 * kPaddedRow + 2 * step * kUnitBytes, keys);
      const uint32_t first[2] = {keys[0], keys[1]}, second[2] = {keys[2], keys[3]};
#pragma unroll
      for (int p = kFactorParts - 1; p >= 0; --p) {
        CacheProduct::add(sums[i], query.words[step][p], first);
        CacheProduct::add(sums[i + 1], query.words[step][p], second);
      }
    }
  }
#pragma unroll
  for (int i = 0; i < kTile / 8; ++i) {
    float* to = &memory.scores[lane.warp][lane.g][8 * i + 2 * lane.t];
    *reinterpret_cast<float2*>(to) = make_float2(sums[i][0], sums[i][1]);
    *reinterpret_cast<float2*>(to + 8 * (kTile + 8)) = make_float2(sums[i][2], sums[i][3]);
  }
}

// Of one head: sixteen neighbouring threads have it, four neighbouring positions each.
struct HeadState {
  static constexpr int kThreadsOfHead = kProductWarps * kWarpSize / kHeads;
  float maximum = kNoMaximum;
  float weight = 0.0f;

  // Scores of `count` positions become weights relative to the new maximum.
  template <class Size>
  __device__ void weigh(Memory<Size>& memory, int count) {
    const int head = static_cast<int>(threadIdx.x) / kThreadsOfHead;
    const int part = static_cast<int>(threadIdx.x) % kThreadsOfHead;
    float scores[4] = {};
#pragma unroll
    for (int w = 0; w < kWarps; ++w) {
      const float4 four = *reinterpret_cast<const float4*>(&memory.scores[w][head][4 * part]);
      scores[0] += four.x, scores[1] += four.y, scores[2] += four.z, scores[3] += four.w;
    }
    float largest = maximum;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if (4 * part + i >= count) scores[i] = kNoMaximum;
      largest = fmaxf(largest, scores[i]);
    }
    for (int distance = kThreadsOfHead / 2; distance > 0; distance /= 2)
      largest = fmaxf(largest, __shfl_xor_sync(kAllLanes, largest, distance));
    float sum = 0.0f;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      scores[i] = exp2_near(scores[i] - largest);
      sum += scores[i];
    }
    for (int distance = kThreadsOfHead / 2; distance > 0; distance /= 2)
      sum += __shfl_xor_sync(kAllLanes, sum, distance);
    const float keep = exp2_near(maximum - largest);
    weight = fmaf(weight, keep, sum);
    maximum = largest;
    if (part == 0) memory.keep[head] = keep;
    uint32_t pairs[2][kFactorParts];
    split_as_bf16(scores[0], scores[1], pairs[0]);
    split_as_bf16(scores[2], scores[3], pairs[1]);
#pragma unroll
    for (int p = 0; p < kFactorParts; ++p)
      *reinterpret_cast<uint2*>(&memory.weights[p][head][8 * part]) = make_uint2(pairs[0][p], pairs[1][p]);
  }
  // To the head's block.
  template <class Size>
  __device__ void send(Memory<Size>& memory) const {
    if (threadIdx.x % kThreadsOfHead != 0) return;
    const int head = static_cast<int>(threadIdx.x) / kThreadsOfHead;
    const uint32_t to = shared_address(&memory.shares[blockIdx.x][kSharePacks - 1]);
    store_in_block(address_in_block(to, head), make_float4(maximum, weight, 0.0f, 0.0f),
                   address_in_block(shared_address(&memory.has_shares), head));
  }
};

// A warp's 64 columns of the results, in pairs of products.
struct ResultPart {
  static constexpr int kPairs = 4;
  float sums[2 * kPairs][4] = {};

  template <class Size>
  __device__ void rescale(const MatrixLane& lane, const Memory<Size>& memory) {
    const float keep[2] = {memory.keep[lane.g], memory.keep[lane.g + 8]};
#pragma unroll
    for (int i = 0; i < 2 * kPairs; ++i) {
#pragma unroll
      for (int j = 0; j < 4; ++j) sums[i][j] *= keep[j / 2];
    }
  }
  __device__ void add_tile(int pair, const uint8_t* tile, int count, const MatrixLane& lane,
                           const uint32_t (&weights)[kTileGroups][kFactorParts][4]) {
    const int l = static_cast<int>(threadIdx.x) % kWarpSize;
    const uint8_t* from = tile + l % 16 * kPaddedRow + (8 * lane.warp + 2 * pair + l / 16) * kUnitBytes;
#pragma unroll
    for (int step = 0; step < kTileGroups; ++step) {
      if (kGroup * step >= count) break;
      uint32_t rows[4];
      load_transposed_matrices(from + kGroup * step * kPaddedRow, rows);
      const uint32_t first[2] = {rows[0], rows[1]}, second[2] = {rows[2], rows[3]};
#pragma unroll
      for (int p = kFactorParts - 1; p >= 0; --p) {
        CacheProduct::add(sums[2 * pair], weights[step][p], first);
        CacheProduct::add(sums[2 * pair + 1], weights[step][p], second);
      }
    }
  }
  // Each head's to its block. Pack 16 · warp + 4 · pair + t has the columns 64 · warp + 16 · pair + 2t, the
  // next one, and those eight behind.
  template <class Size>
  __device__ void send(int pair, const MatrixLane& lane, Memory<Size>& memory) const {
    const uint32_t to = shared_address(&memory.shares[blockIdx.x][16 * lane.warp + 4 * pair + lane.t]);
    const uint32_t barrier = shared_address(&memory.has_shares);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const uint32_t head = static_cast<uint32_t>(lane.g + 8 * half);
      const float(&first)[4] = sums[2 * pair], (&second)[4] = sums[2 * pair + 1];
      store_in_block(
          address_in_block(to, head),
          make_float4(first[2 * half], first[2 * half + 1], second[2 * half], second[2 * half + 1]),
          address_in_block(barrier, head));
    }
  }
};

// The tile's weights as left factors.
template <class Size>
__device__ void load_weights(const Memory<Size>& memory, int count,
                             uint32_t (&weights)[kTileGroups][kFactorParts][4]) {
  const int l = static_cast<int>(threadIdx.x) % kWarpSize;
#pragma unroll
  for (int step = 0; step < kTileGroups; ++step) {
    if (kGroup * step >= count) break;
#pragma unroll
    for (int p = 0; p < kFactorParts; ++p)
      load_matrices(&memory.weights[p][l % 16][(2 * step + l / 16) * kUnitBytes], weights[step][p]);
  }
}

// Four sums of a head, of positions whose largest score is `maximum`.
struct SumPack {
  float maximum;
  float weight;
  float4 values;

  __device__ void add(const float2& state, const float4& more) {
    const float take = exp2_near(state.x - maximum);
    weight = fmaf(state.y, take, weight);
    values.x = fmaf(more.x, take, values.x), values.y = fmaf(more.y, take, values.y);
    values.z = fmaf(more.z, take, values.z), values.w = fmaf(more.w, take, values.w);
  }
};

// The shares of the cluster's blocks, every kParts-th from `part` on, which neighbouring threads have.
template <class Size, int kParts>
__device__ SumPack add_shares(const float4 (*first)[kSharePacks], int shares, int part, int pack) {
  constexpr int kShares = Size::kSplits / kParts;
  float2 states[kShares];
  float4 sums[kShares];
  float largest = kNoMaximum;
#pragma unroll
  for (int s = 0; s < kShares; ++s) {
    const int share = part + s * kParts;
    states[s] = make_float2(kNoMaximum, 0.0f);
    sums[s] = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    if (share < shares) {
      states[s] = *reinterpret_cast<const float2*>(&first[share][kSharePacks - 1]);
      sums[s] = first[share][pack];
    }
    largest = fmaxf(largest, states[s].x);
  }
  if (kParts == 2) largest = fmaxf(largest, __shfl_xor_sync(kAllLanes, largest, 1));
  SumPack total = {largest, 0.0f, make_float4(0.0f, 0.0f, 0.0f, 0.0f)};
#pragma unroll
  for (int s = 0; s < kShares; ++s) total.add(states[s], sums[s]);
  if (kParts == 2) {
    total.weight += __shfl_xor_sync(kAllLanes, total.weight, 1);
    for (float* value : {&total.values.x, &total.values.y, &total.values.z, &total.values.w})
      *value += __shfl_xor_sync(kAllLanes, *value, 1);
  }
  return total;
}

// What clusters of one sequence leave for the first one, of each head.
struct ClusterSums {
  float4 values[kRank / 4];
  float2 state;
  uint64_t is_there;  // kIsThere; memory has it by chance once in 2^64 times

  static constexpr uint64_t kIsThere = 0x9E3779B97F4A7C15u;

  __device__ static ClusterSums& of(const MlaDecodeCall& call, int cluster) {
    const int64_t row = static_cast<int64_t>(blockIdx.y) * (gridDim.z - 1) + cluster - 1;
    return reinterpret_cast<ClusterSums*>(call.workspace)[row * kHeads + blockIdx.x];
  }
  __device__ void publish() {
    asm volatile("st.release.gpu.global.u64 [%0], %1;" ::"l"(&is_there), "l"(kIsThere) : "memory");
  }
  __device__ void wait_and_clear() {
    uint64_t found;
    do {
      asm volatile("ld.acquire.gpu.global.u64 %0, [%1];" : "=l"(found) : "l"(&is_there) : "memory");
    } while (found != kIsThere);
    is_there = 0;
  }
};

// Makes `total` the sum of all clusters, in their order. False in those that are not the first. REQUIRES:
// called by all threads that compute; the first kRank / 2 have a pack, two neighbours the same one.
__device__ bool add_clusters(const MlaDecodeCall& call, int clusters, int pack, bool is_mine,
                             SumPack& total) {
  const int cluster = static_cast<int>(blockIdx.z);
  if (cluster > 0) {
    ClusterSums& sums = ClusterSums::of(call, cluster);
    if (is_mine) sums.values[pack] = total.values;
    if (threadIdx.x == 0) sums.state = make_float2(total.maximum, total.weight);
    meet<kComputeThreads>(1);
    if (threadIdx.x == 0) sums.publish();
    return false;
  }
  if (threadIdx.x > 0 && static_cast<int>(threadIdx.x) < clusters)
    ClusterSums::of(call, static_cast<int>(threadIdx.x)).wait_and_clear();
  meet<kComputeThreads>(1);
  if (!is_mine) return true;
  float largest = total.maximum;
  for (int c = 1; c < clusters; ++c) largest = fmaxf(largest, __ldcg(&ClusterSums::of(call, c).state).x);
  SumPack all = {largest, 0.0f, make_float4(0.0f, 0.0f, 0.0f, 0.0f)};
  all.add(make_float2(total.maximum, total.weight), total.values);
  for (int c = 1; c < clusters; ++c) {
    const ClusterSums& sums = ClusterSums::of(call, c);
    all.add(__ldcg(&sums.state), __ldcg(&sums.values[pack]));
  }
  total = all;
  return true;
}

// What the head attended to as two factors.
template <class Size>
__device__ void put_attended(const SumPack& total, int of_cluster, int pack, Memory<Size>& memory) {
  const float share = total.weight > 0.0f ? 1.0f / total.weight : 0.0f;
  uint32_t near[kFactorParts], far[kFactorParts];
  split_as_f16(total.values.x * share, total.values.y * share, near);
  split_as_f16(total.values.z * share, total.values.w * share, far);
  const int word = pack / 4 * 8 + pack % 4;
#pragma unroll
  for (int p = 0; p < kFactorParts; ++p) {
    uint32_t* to = reinterpret_cast<uint32_t*>(memory.attended[of_cluster][p]);
    to[word] = near[p];
    to[word + 4] = far[p];
  }
}

// The shares of all sequences. False where another cluster goes on.
template <class Size>
__device__ bool merge_shares(const MlaDecodeCall& call, const Sequences<Size>& sequences,
                             Memory<Size>& memory) {
  constexpr int kPacks = kRank / 4, kParts = Size::kSequences == 1 ? 2 : 1;
  const int thread = static_cast<int>(threadIdx.x);
  if constexpr (Size::kSequences == 1) {
    const int part = thread % kParts, pack = thread / kParts % kPacks;
    SumPack total = add_shares<Size, kParts>(memory.shares, sequences.num_shares(0), part, pack);
    const bool is_mine = part == 0 && thread < kPacks * kParts;
    if (sequences.clusters > 1 && !add_clusters(call, sequences.clusters, pack, is_mine, total)) return false;
    if (is_mine) put_attended(total, 0, pack, memory);
  } else {
    for (int i = thread; i < Size::kSequences * kPacks; i += kComputeThreads) {
      const int of_cluster = i / kPacks, pack = i % kPacks;
      const SumPack total = add_shares<Size, kParts>(&memory.shares[of_cluster * Size::kSplits],
                                                     sequences.num_shares(of_cluster), 0, pack);
      put_attended(total, of_cluster, pack, memory);
    }
  }
  return true;
}

// A warp's sixteen value rows of kv_b as left factors, in chunks of 64 columns: sixteen neighbouring ones a
// lane, which are four steps of a product.
struct ValueRows {
  static constexpr int kChunks = kRank / 64, kChunksOfScale = kScaleBlock / 64;
  static constexpr int kAhead = 5;  // registers have no room for more
  const uint8_t* rows;              // of the lane
  uint32_t ahead[kAhead][4][4];

  // While what they will be multiplied with is on its way.
  __device__ void convert_ahead(const uint8_t* stage, const MatrixLane& lane) {
    rows = stage + (16 * lane.warp + lane.g) * kPaddedValueRow + 16 * lane.t;
#pragma unroll
    for (int chunk = 0; chunk < kAhead; ++chunk) convert(chunk, ahead[chunk]);
  }
  __device__ void convert(int chunk, uint32_t (&words)[4][4]) const {
    const uint4 upper = *reinterpret_cast<const uint4*>(rows + 64 * chunk);
    const uint4 lower = *reinterpret_cast<const uint4*>(rows + 64 * chunk + 8 * kPaddedValueRow);
    const uint32_t codes[4][2] = {
        {upper.x, lower.x}, {upper.y, lower.y}, {upper.z, lower.z}, {upper.w, lower.w}};
#pragma unroll
    for (int step = 0; step < 4; ++step) {
#pragma unroll
      for (int i = 0; i < 4; ++i) words[step][i] = f16_of_f8(codes[step][i % 2] >> (i / 2 * 16));
    }
  }
};

// The head's values of all sequences. scales: of kv_b's blocks.
template <class Size>
__device__ void multiply_values(const ValueRows& rows, const float (&scales)[kRank / kScaleBlock],
                                const MatrixLane& lane, Memory<Size>& memory) {
  float sums[kRank / kScaleBlock][4] = {};
#pragma unroll
  for (int chunk = 0; chunk < ValueRows::kChunks; ++chunk) {
    uint4 columns[2] = {};  // 2s and 2s + 1 are the parts of sequence s
    if (lane.g < 2 * Size::kSequences) {
      const uint8_t* from = memory.attended[lane.g / 2][lane.g % 2] + (64 * chunk + 16 * lane.t) * 2;
      columns[0] = reinterpret_cast<const uint4*>(from)[0];
      columns[1] = reinterpret_cast<const uint4*>(from)[1];
    }
    uint32_t late[4][4];
    if (chunk >= ValueRows::kAhead) rows.convert(chunk, late);
#pragma unroll
    for (int step = 0; step < 4; ++step) {
      const uint4& four = columns[step / 2];
      const uint32_t right[2] = {step % 2 == 0 ? four.x : four.z, step % 2 == 0 ? four.y : four.w};
      const uint32_t(&left)[4] = *(chunk < ValueRows::kAhead ? &rows.ahead[chunk][step] : &late[step]);
      KvBProduct::add(sums[chunk / ValueRows::kChunksOfScale], left, right);
    }
  }
  float values[2] = {};
#pragma unroll
  for (int block = 0; block < kRank / kScaleBlock; ++block) {
#pragma unroll
    for (int half = 0; half < 2; ++half)
      values[half] = fmaf(sums[block][2 * half] + sums[block][2 * half + 1], scales[block], values[half]);
  }
  if (lane.t >= Size::kSequences) return;  // of a quad lane t has sequence t
  memory.values[lane.t][16 * lane.warp + lane.g] = values[0];
  memory.values[lane.t][16 * lane.warp + lane.g + 8] = values[1];
}

// Barriers are told what will come: a whole query for a block that attends, and each share's sums.
template <class Size>
__device__ void init_barriers(const Sequences<Size>& sequences, bool attends, Memory<Size>& memory) {
  constexpr uint32_t kQueryBytes = kHeads * kFactorParts * kWidth * 2, kShareBytes = kSharePacks * 16;
  memory.has_query.init(1);
  memory.has_shares.init(1);
  uint32_t shares = 0;
#pragma unroll
  for (int i = 0; i < Size::kSequences; ++i) shares += static_cast<uint32_t>(sequences.num_shares(i));
  publish_barriers();
  if (attends) memory.has_query.arrive_and_expect(kQueryBytes);
  memory.has_shares.arrive_and_expect(shares * kShareBytes);
}

// The block's share of the positions, whose sums go to the blocks of their heads.
template <class Size>
__device__ void attend(const Share<Size>& share, const Entries<Size>& entries, const MatrixLane& lane,
                       Memory<Size>& memory) {
  QuerySteps query;
  ResultPart result;
  HeadState state;
  memory.has_query.wait(0);
  query.load(memory, lane);
  const int tiles = share.tiles();
  for (int tile = 0; tile < tiles; ++tile) {
    const bool is_last = tile + 1 == tiles;
    const int count = share.count(tile);
    uint8_t* latents = entries.stage(tile);
    entries.wait(tile);
    if (lane.warp == kSpareWarp && is_last && share.has_newest)
      put_newest(latents + (count - 1) * kPaddedRow, memory);
    meet<kComputeThreads>(1);
    score_tile(latents, count, query, lane, memory);
    meet<kComputeThreads>(1);
    if (lane.warp < kProductWarps) state.weigh(memory, count);
    meet<kComputeThreads>(1);
    if (is_last) announce_to_cluster();  // shares may take the place of scores
    uint32_t weights[kTileGroups][kFactorParts][4];
    if (lane.warp < kProductWarps) {
      result.rescale(lane, memory);
      load_weights(memory, count, weights);
#pragma unroll
      for (int pair = 0; pair < ResultPart::kPairs / 2; ++pair)
        result.add_tile(pair, latents, count, lane, weights);
    }
    if (is_last) wait_for_cluster();
    if (lane.warp < kProductWarps) {
      if (is_last) {
        state.send(memory);
#pragma unroll
        for (int pair = 0; pair < ResultPart::kPairs / 2; ++pair) result.send(pair, lane, memory);
      }
#pragma unroll
      for (int pair = ResultPart::kPairs / 2; pair < ResultPart::kPairs; ++pair) {
        result.add_tile(pair, latents, count, lane, weights);
        if (is_last) result.send(pair, lane, memory);
      }
    }
    if (!is_last) entries.release(tile);
  }
}

// What the warps that copy do.
template <class Size>
__device__ void copy_entries(EntryCopies<Size> copies) {
  const int count = copies.count();
#pragma unroll 1
  for (int entry = 0; entry < count; ++entry) {
    copies.start(entry);
    if (entry > 0) continue;
    wait_for_cluster();
    announce_to_cluster();
  }
  wait_for_batches<0>();
}

template <class Size>
__global__ void __launch_bounds__(kThreads, 1) attend_and_expand(MlaDecodeCall call) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  extern __shared__ __align__(128) uint8_t shared_bytes[];
  Memory<Size>& memory = *reinterpret_cast<Memory<Size>*>(shared_bytes);
  const MatrixLane lane;
  const Place<Size> place;
  const Sequences<Size> sequences(call.cache);
  KeyRows keys;
  if (lane.warp < kProductWarps) keys.load(call.kv_b, place.head, lane);
  const bool is_pad = sequences.lengths[0] == 0;  // then the cluster's others are, too
  if (is_pad || static_cast<int>(blockIdx.z) >= sequences.clusters) return wait_for_previous_kernel();

  const Share<Size> share(sequences, place);
  const Entries<Size> entries = {memory};
  const bool attends = share.groups > 0;
  NewestRow newest;
  if (lane.warp == kSpareWarp) {
    if (threadIdx.x % kWarpSize == 0) {
      entries.init();
      init_barriers(sequences, attends, memory);
    }
    __syncwarp();
    if (share.has_newest) newest.load_ahead(call, place.sequence);
  }
  __syncthreads();
  announce_to_cluster();
  if (lane.warp >= kWarps) {
    copy_entries(EntryCopies<Size>(call, place, share, entries));
    return wait_for_previous_kernel();
  }
  float scales[kRank / kScaleBlock];
#pragma unroll
  for (int i = 0; i < kRank / kScaleBlock; ++i)
    scales[i] = call.kv_b.scale[(2 * place.head + 1) * call.kv_b.scale_columns + i];
  wait_for_previous_kernel();

  if (lane.warp < kProductWarps) {
    QueryColumns<Size> query;
    query.load(call.write, sequences, place.head, lane);
    absorb_query(call, sequences, keys, query, lane, memory);
  } else {
    if (share.has_newest) newest.load(call, place.sequence);
    rotate_query(call, sequences, place.head, memory);
    if (share.has_newest) newest.write(call, memory.newest);
  }
  if (attends) {
    attend(share, entries, lane, memory);
  } else {
    announce_to_cluster();
    wait_for_cluster();
  }
  ValueRows rows;
  entries.wait(share.tiles());
  if (lane.warp < kProductWarps) rows.convert_ahead(entries.stage(share.tiles()), lane);
  memory.has_shares.wait(0);
  if (!merge_shares(call, sequences, memory)) return;
  meet<kComputeThreads>(1);
  if (lane.warp < kProductWarps) multiply_values(rows, scales, lane, memory);
  meet<kComputeThreads>(1);
  if (lane.warp >= Size::kSequences || sequences.length(lane.warp) == 0) return;
  const int value = 4 * (static_cast<int>(threadIdx.x) % kWarpSize);
  float group[4];
  load_pack<float>(&memory.values[lane.warp][value], 4, true, group);
  quantize_group_of_128(group, call.out, sequences.first + lane.warp, place.head * kValues + value,
                        /*whole=*/true);
#endif
}

template <class Size>
ClusterLaunch cluster_launch(gpuStream_t stream) {
  return {kBlocks, kThreads, sizeof(Memory<Size>), stream};
}

// How many clusters the device runs at once; 0: it takes no such launch.
template <class Size>
unsigned active_clusters() {
  static const int count = [] {
    const ClusterLaunch launch = cluster_launch<Size>(nullptr);
    const auto kernel = attend_and_expand<Size>;
    return launch.can_run(kernel) ? std::min(launch.max_active(kernel), kMlaMostClusters) : 0;
  }();
  return static_cast<unsigned>(count);
}

template <class Size>
unsigned clusters_of(const MlaDecodeCall& call) {
  return static_cast<unsigned>((call.write.query.outer + Size::kSequences - 1) / Size::kSequences);
}

// Of one sequence as many clusters as run at once.
template <class Size>
void launch_clusters(const MlaDecodeCall& call, gpuStream_t stream) {
  const unsigned clusters = clusters_of<Size>(call);
  if (clusters == 0) return;
  const unsigned each = Size::kSequences > 1 ? 1 : std::max(1u, active_clusters<Size>() / clusters);
  cluster_launch<Size>(stream).run(attend_and_expand<Size>, dim3(kBlocks, clusters, each), call);
}

// So many clusters after one another, where the device has room for no more at once.
template <class Size>
unsigned rounds_of(const MlaDecodeCall& call) {
  return (clusters_of<Size>(call) + active_clusters<Size>() - 1) / active_clusters<Size>();
}

}  // namespace

static_assert(sizeof(ClusterSums) == kMlaClusterSumsBytes, "workspace");

bool can_run_mla_decode_sm90() {
  return active_clusters<ClusterShape<kMaxSequences>>() > 0;
}

// As few sequences a cluster as need no more rounds than the most.
void launch_mla_decode_sm90(const MlaDecodeCall& call, gpuStream_t stream) {
  const unsigned rounds = rounds_of<ClusterShape<kMaxSequences>>(call);
  if (rounds_of<ClusterShape<1>>(call) == rounds) return launch_clusters<ClusterShape<1>>(call, stream);
  if (rounds_of<ClusterShape<2>>(call) == rounds) return launch_clusters<ClusterShape<2>>(call, stream);
  if (rounds_of<ClusterShape<3>>(call) == rounds) return launch_clusters<ClusterShape<3>>(call, stream);
  launch_clusters<ClusterShape<kMaxSequences>>(call, stream);
}

}  // namespace musaic
