#pragma once

#include "hopper.cuh"
#include "ops/mla_attention/matrix_factor.cuh"
#include "ops/mla_attention/mla_rows.cuh"
#include "ops/mla_decode/mla_decode_gpu.h"

// How a cluster divides heads, sequences and positions among its blocks, and what a block has in memory.
namespace musaic::mla_decode_sm90 {

inline constexpr int kHeads = kMlaHeadsAtOnce, kBlocks = kHeads;  // a block a head
inline constexpr int kRank = kMlaMatrixRank, kWidth = kMlaMatrixWidth, kRope = kWidth - kRank;
inline constexpr int kNope = 128, kValues = 128, kHeadDim = kNope + kRope;  // of a head
inline constexpr int kScaleBlock = 128;                                     // of kv_b
inline constexpr int kProductWarps = 8;  // of the query, of results and of values
inline constexpr int kSpareWarp = kProductWarps;
inline constexpr int kWarps = kProductWarps + 1;  // scores take all of them: 36 steps of 16 are 4 a warp
inline constexpr int kCopyWarps = 3;              // beside these
inline constexpr int kComputeThreads = kWarps * kWarpSize;
inline constexpr int kThreads = kComputeThreads + kCopyWarps * kWarpSize;
inline constexpr int kScoreSteps = kWidth / 16 / kWarps;
inline constexpr int kGroup = 16;  // positions: a step of the products with weights
inline constexpr int kTileGroups = 4;
inline constexpr int kTile = kTileGroups * kGroup;
inline constexpr int kUnits = kWidth / 8;
inline constexpr int kUnitBytes = 16;
inline constexpr int kPaddedRow = kWidth * 2 + kUnitBytes;      // neighbouring rows meet different banks
inline constexpr int kPaddedValueRow = kRank + 4 * kUnitBytes;  // likewise, two rows and four units at once
inline constexpr int kPaddedWeights = kTile * 2 + kUnitBytes;
inline constexpr int kPaddedAttended = kRank * 2 + kUnitBytes;
inline constexpr int kStageBytes = kTile * kPaddedRow;
inline constexpr int kStages = 2;
inline constexpr int kSharePacks = kRank / 4 + 1;  // of four sums, then maximum and weight
inline constexpr int kMaxSequences = 4;            // of a cluster: of two columns of a product each
static_assert(kValues * kPaddedValueRow <= kStageBytes, "value rows take the place of a tile");

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
  bool is_last;  // of the clusters of its sequence
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

}  // namespace musaic::mla_decode_sm90
