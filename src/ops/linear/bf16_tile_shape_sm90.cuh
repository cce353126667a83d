#pragma once

#include "ops/linear/linear_tile.cuh"
#include "ops/linear/tiles_sm90.cuh"

// What the threads of multiply_bf16_tiles share: the shape of tiles, their order, the ring of stages.
namespace musaic {

inline constexpr int kStepValues = 64;  // of k: 128 bytes of a weight's row
inline constexpr int kConsumers = 2;    // warpgroups

// A block's tile has 64 rows of x and kColumns rows of the weight: two halves, which for swiglu are of the
// weight's two halves. The blocks of a cluster have kRowBlocks × kColumnBlocks neighbouring tiles. A product
// waits for the one before it in its chain: with kParts chains the parts of x have one each, whose sums are
// added.
template <int kColumns_, int kParts_, int kChains_, int kRowBlocks_, int kColumnBlocks_, int kStages_>
struct Bf16TileShape {
  static constexpr int kRows = kWarpgroupRows;
  static constexpr int kColumns = kColumns_;
  static constexpr int kHalfColumns = kColumns / 2;
  static constexpr int kParts = kParts_;  // of x
  static constexpr int kChains = kChains_;
  static constexpr int kRowBlocks = kRowBlocks_;
  static constexpr int kColumnBlocks = kColumnBlocks_;
  static constexpr int kBlocks = kRowBlocks * kColumnBlocks;
  static constexpr int kXRows = kWarpgroupRows / kColumnBlocks;  // that a block brings
  static constexpr int kStages = kStages_;
  static constexpr int kThreads = kWarpgroupSize * (1 + kConsumers);
  // One product has up to 128 columns.
  static constexpr int kProducts = kColumns <= 128 ? 1 : 2;
  static constexpr int kProductColumns = kColumns / kProducts;
  static constexpr int kSums = kProductColumns / 2;  // a lane's of a product
  // Products of many columns fill the matrix units one after the other, those of few wait for their chain.
  static constexpr bool kTakesTurns = kColumns > 128;

  static_assert(kChains == 1 || kChains == kParts, "a chain of all products, or one a part of x");
  static_assert(kTakesTurns || kStages % kConsumers == 0,
                "a warpgroup that ran ahead would take the other one's round of a stage for its own");
  static_assert(kRowBlocks <= 2, "a block brings both halves of the weight's tile or one");
  static_assert(kColumns % 32 == 0, "eights of columns change places within 32");
  static_assert(kHalfColumns % 8 == 0 && kXRows % 16 == 0,
                "swizzled tiles begin at whole groups of 8 rows; a lane's two rows of x are in one");

  // Of the round in which the ring's stage number `place` is used.
  static __device__ uint32_t parity(int place) { return static_cast<uint32_t>(place / kStages) & 1; }
};

struct Bf16Maps {
  TensorMap weight;
  TensorMap x;
};

inline constexpr int kXPlanes = 2;        // of a step, in x: rows of float32 are twice as long
inline constexpr int kXPlaneValues = 32;  // of k

template <class Shape>
struct Bf16Stage {
  uint8_t x[Shape::kColumnBlocks][kXPlanes][Shape::kXRows][kSwizzledRow];  // by the block that brings it
  uint8_t weight[Shape::kColumns][kSwizzledRow];
};

// Dynamic shared memory, at a multiple of 1024.
template <class Shape>
struct Bf16TileMemory {
  Bf16Stage<Shape> stages[Shape::kStages];
  float sums[kWarpgroupRows][Shape::kColumns];  // see sums_at
  float squares[kConsumers][kWarpgroupRows];
  float norm_weights[Shape::kStages][kStepValues];
  Barrier full[Shape::kStages];
  Barrier empty[Shape::kStages];
  Barrier norm_read[Shape::kStages];  // by every thread that did: whoever arrives vouches for itself alone
};

// The tile's sums at this row and, a multiple of 2, column. Eights of columns change places from row to row,
// so that the rows that a warp writes at once lie in different banks.
template <class Shape>
__device__ float* sums_at(Bf16TileMemory<Shape>& memory, int row, int column) {
  return &memory.sums[row][column ^ (row / 2 % 4 * 8)];
}

inline constexpr size_t kMostSharedBytes = 227 << 10;  // of a block

// [planes, rows, bytes]: swiglu's halves are a plane each.
inline ByteRows weight_bytes_of(const LinearTileCall& call) {
  const int64_t planes = call.swiglu ? 2 : 1, rows = call.linear.y.width,
                row_bytes = call.linear.weight_row_bytes;
  return {call.linear.weight, planes, rows, row_bytes, rows * row_bytes, row_bytes};
}

// For copies of what a block of a cluster brings of a tile's weight: both halves where its blocks have other
// columns each, else one. False: the driver cannot map it.
template <class Shape>
bool map_weight_halves(TensorMap& map, const LinearTileCall& call) {
  const int halves = Shape::kRowBlocks == 1 ? 2 : 1;
  const int planes = call.swiglu ? halves : 1;
  return map_byte_rows(map, weight_bytes_of(call), planes, halves / planes * Shape::kHalfColumns);
}

inline __host__ __device__ int num_steps_of(const LinearTileCall& call) {
  return static_cast<int>((call.linear.x.width + kStepValues - 1) / kStepValues);
}

// The tiles of the block's cluster: those that share weights follow one another. A block may have none of its
// own at the cluster's end, and still helps the others.
template <class Shape>
class Bf16TileWalk {
 public:
  __device__ explicit Bf16TileWalk(const LinearTileCall& call)
      : row_tiles_(row_tiles(call)),
        num_tiles_(num_cluster_tiles(call)),
        columns_(call.swiglu ? Shape::kHalfColumns : Shape::kColumns),
        block_(static_cast<int>(block_of_cluster())),
        index_(static_cast<int>(blockIdx.x) / Shape::kBlocks) {}

  static __host__ __device__ int row_tiles(const LinearTileCall& call) {
    constexpr int kRows = Shape::kRows * Shape::kRowBlocks;
    return static_cast<int>((call.linear.x.outer + kRows - 1) / kRows);
  }
  static __host__ __device__ int num_cluster_tiles(const LinearTileCall& call) {
    constexpr int kColumns = Shape::kColumns * Shape::kColumnBlocks;
    return row_tiles(call) * static_cast<int>((weight_rows_of(call) + kColumns - 1) / kColumns);
  }

  __device__ bool is_there() const { return index_ < num_tiles_; }
  // To the next tile with some of the first `rows` rows. The first tile is made in any case.
  __device__ void advance(int rows) {
    const int step = static_cast<int>(gridDim.x) / Shape::kBlocks;
    do index_ += step;
    while (is_there() && cluster_row() >= rows);
  }
  // Whether no tile follows.
  __device__ bool is_last(int rows) const {
    Bf16TileWalk next = *this;
    next.advance(rows);
    return !next.is_there();
  }
  // Of x and y.
  __device__ int row() const { return cluster_row() + block_ / Shape::kColumnBlocks * Shape::kRows; }
  // Of y.
  __device__ int column() const {
    return (index_ / row_tiles_ * Shape::kColumnBlocks + block_ % Shape::kColumnBlocks) * columns_;
  }

 private:
  __device__ int cluster_row() const { return index_ % row_tiles_ * (Shape::kRows * Shape::kRowBlocks); }

  const int row_tiles_;
  const int num_tiles_;
  const int columns_;
  const int block_;
  int index_;
};

}  // namespace musaic
