#pragma once

#include "ops/linear_fp8/fp8_swiglu_sm90.cuh"

// What a block keeps of its tiles, and in which order it makes them.
namespace musaic {

// What else tells tiles apart: bits of Fp8TileShape's kKind.
inline constexpr unsigned kSwigluTile = 1;  // of a SwiGLU
// Row r of y is of row r of q: rows come by copies of whole tiles. That pays for tiles of 128 rows.
inline constexpr unsigned kCopiesRows = 4;
inline constexpr unsigned kReadsOnce = 2;  // no other block reads the weights, which give way in the L2 cache
// Those that multiply read scales from memory themselves: with kCopiesRows one thread copies all there is.
inline constexpr unsigned kReadsScales = 8;
// A warpgroup that multiplies has 64 rows and both column tiles: that reads weights once for 128 rows and
// rows once for 256 columns, and pays where there are enough of both.
inline constexpr unsigned kWideTile = 16;
// The same with all column tiles in one product, which leaves room for fewer columns.
inline constexpr unsigned kBroadTile = 32;

// A block's tile in tiles of 64 rows and kColumns columns: one of the two multiplying warpgroups has each,
// with kWide or kBroad a row of them. With kSwiglu one of them has 128 columns of the first part of a weight,
// the other the same of the second.
template <int kRowTiles_, int kColumnTiles_, int kColumns_, int kStages_, unsigned kKind = 0>
struct Fp8TileShape {
  static constexpr bool kSwiglu = (kKind & kSwigluTile) != 0;
  static constexpr bool kOnce = (kKind & kReadsOnce) != 0;
  static constexpr bool kRowTileCopies = (kKind & kCopiesRows) != 0;
  static constexpr bool kScalesFromMemory = (kKind & kReadsScales) != 0;
  static constexpr bool kWide = (kKind & kWideTile) != 0;
  static constexpr bool kBroad = (kKind & kBroadTile) != 0;
  static constexpr int kCopyingThreads = kScalesFromMemory ? 1 : kRowTileCopies ? kWarpSize : kWarpgroupSize;
  static constexpr int kRowTiles = kRowTiles_;
  static constexpr int kColumnTiles = kColumnTiles_;
  static constexpr int kColumns = kColumns_;
  static constexpr int kStages = kStages_;
  static constexpr int kRows = kWarpgroupRows * kRowTiles;
  static constexpr int kConsumers = kRowTiles * (kWide || kBroad ? 1 : kColumnTiles);
  static constexpr int kThreads = kWarpgroupSize * (1 + kConsumers);
  // A thread's, of the 65,536 of a multiprocessor.
  static constexpr int kProducerRegisters = 40;
  static constexpr int kConsumerRegisters = 232;

  static_assert(kColumns == 128 || kColumns == 64 || kColumns == 32,
                "a tile lies in one block of the weight");
  static_assert(!kSwiglu || (kColumnTiles == 2 && kColumns == 128 && (kWide || kRowTiles == 1)),
                "a tile has whole groups of both parts");
  static_assert(!kWide || (kRowTiles == 2 && kColumnTiles == 2 && kColumns == 128 && !kScalesFromMemory),
                "the sums of 64 rows and 256 columns and one product fill a thread's registers");
  static_assert(!kBroad ||
                    (kRowTiles == 2 && kColumnTiles * kColumns == 192 && kScalesFromMemory && !kSwiglu),
                "the sums of 64 rows and 192 columns and their product fill a thread's registers");
  static_assert(kRowTileCopies || !kScalesFromMemory, "rows that lie anywhere have all threads copy");
};

template <class Shape>
struct Fp8Stage {
  uint8_t q[Shape::kRows][kSwizzledRow];
  uint8_t weight[Shape::kColumnTiles][Shape::kColumns][kSwizzledRow];
};

struct NoExchange {};
template <class Shape>
using Fp8Exchange = std::conditional_t<!Shape::kSwiglu, NoExchange,
                                       std::conditional_t<Shape::kWide, SwigluRows, SwigluExchange>>;

// Dynamic shared memory, at a multiple of 1024.
template <class Shape>
struct Fp8TileMemory {
  Fp8Stage<Shape> stages[Shape::kStages];
  Fp8Exchange<Shape> exchange;
  // Of the rows, of the column tiles.
  float scales[Shape::kScalesFromMemory ? 1 : Shape::kStages][Shape::kRows + Shape::kColumnTiles];
  Barrier full[Shape::kStages];
  Barrier empty[Shape::kStages];
  // Of the experts of all products.
  int first_tile[kMaxTileExperts + 1];
  int start[kMaxTileExperts];
  int count[kMaxTileExperts];
};

// Where a tile of columns begins, and how many columns it has; none behind the last.
template <class Shape>
struct Fp8Columns {
  int first;
  int count;
  int scale_row;  // in the expert's weight scales

  static __host__ __device__ int tiles_a_part(const Fp8Tiles& call) {
    return (call.part_columns + Shape::kColumns - 1) / Shape::kColumns;
  }
  // That a block has at once.
  static __host__ __device__ int block_tiles(const Fp8Tiles& call) {
    return (tiles_a_part(call) * call.parts + Shape::kColumnTiles - 1) / Shape::kColumnTiles;
  }
  static __device__ Fp8Columns of(const Fp8Tiles& call, int index) {
    const int tiles = tiles_a_part(call), part = Shape::kSwiglu ? index % 2 : index / tiles;
    if (part >= call.parts) return {0, 0, 0};
    const int column = (Shape::kSwiglu ? index / 2 : index - part * tiles) * Shape::kColumns;
    const int left = call.part_columns - column;
    return {part * call.part_columns + column, left < Shape::kColumns ? left : Shape::kColumns,
            part * ((call.part_columns + 127) / 128) + column / 128};
  }
};

// The block's tiles: expert by expert, the tiles of rows that meet one tile of columns side by side, so that
// the blocks at work share weights. Blocks change places from round to round: those with the expert's last
// rows are done sooner, and would run ahead of the others that read the same weight.
template <class Shape, int kProducts>
class Fp8TileWalk {
 public:
  __device__ Fp8TileWalk(const Fp8Work<kProducts>& work, const Fp8TileMemory<Shape>& memory)
      : memory_(memory), num_experts_(kProducts - 1), place_(static_cast<int>(blockIdx.x)) {
    num_experts_ += work.product[kProducts - 1].num_experts;
#pragma unroll
    for (int p = 0; p < kProducts; ++p) column_tiles_[p] = Fp8Columns<Shape>::block_tiles(work.product[p]);
  }

  __device__ bool next(Fp8Tile& tile) {
    const int index = first_of_round_ + place_;
    const int num_blocks = static_cast<int>(gridDim.x);
    first_of_round_ += num_blocks;
    if (++place_ == num_blocks) place_ = 0;
    while (expert_ < num_experts_ && index >= memory_.first_tile[expert_ + 1]) ++expert_;
    if (expert_ == num_experts_) return false;
    const int first = memory_.first_tile[expert_];
    const int product = expert_ < kProducts - 1 ? expert_ : kProducts - 1;
    const int row_tiles = (memory_.first_tile[expert_ + 1] - first) / columns_of(product);
    const int local = index - first, column = local / row_tiles;
    const int row = (local - column * row_tiles) * Shape::kRows;
    tile = {product, expert_ - product, memory_.start[expert_] + row, memory_.count[expert_] - row,
            column * Shape::kColumnTiles};
    return true;
  }

 private:
  __device__ int columns_of(int product) const {
    return product == 0 ? column_tiles_[0] : column_tiles_[kProducts - 1];
  }

  static_assert(kProducts <= 2, "columns_of");
  const Fp8TileMemory<Shape>& memory_;
  int num_experts_;
  int column_tiles_[kProducts];
  int place_;
  int first_of_round_ = 0;
  int expert_ = 0;
};

// REQUIRES: every thread of the block takes part; they meet before they read what was found.
template <class Shape, int kProducts>
__device__ void find_expert_rows(const Fp8Work<kProducts>& work, Fp8TileMemory<Shape>& memory) {
  const int thread = static_cast<int>(threadIdx.x);
  int num_experts = 0;
#pragma unroll
  for (int p = 0; p < kProducts; ++p) {
    const Fp8Tiles& call = work.product[p];
#pragma unroll 1
    for (int expert = thread; expert < call.num_experts; expert += Shape::kThreads) {
      memory.start[num_experts + expert] = call.start == nullptr ? 0 : call.start[expert];
      memory.count[num_experts + expert] = call.start == nullptr
                                               ? static_cast<int>(live_count(call.live_rows, call.rows))
                                               : call.count[expert];
    }
    num_experts += call.num_experts;
  }
  __syncthreads();
  if (thread >= kWarpSize) return;
  int before = 0;
  for (int first = 0; first < num_experts; first += kWarpSize) {
    const int expert = first + thread;
    const bool is_there = expert < num_experts;
    const Fp8Tiles& call = work.product[expert < kProducts - 1 ? 0 : kProducts - 1];
    const int rows = is_there ? memory.count[expert] : 0;
    int sum = (rows + Shape::kRows - 1) / Shape::kRows * Fp8Columns<Shape>::block_tiles(call);
    for (int distance = 1; distance < kWarpSize; distance *= 2) {
      const int other = __shfl_up_sync(0xffffffffu, sum, distance);
      if (thread >= distance) sum += other;
    }
    if (is_there) memory.first_tile[expert + 1] = before + sum;
    before += __shfl_sync(0xffffffffu, sum, kWarpSize - 1);
  }
  if (thread == 0) memory.first_tile[0] = 0;
}

template <class T, class Shape>
__device__ TileOutput<T> output_of(const Fp8Tiles& call, const Fp8Tile& tile,
                                   const Fp8Columns<Shape>& columns, int first_row, const void* bias) {
  const int64_t width = static_cast<int64_t>(call.parts) * call.part_columns;
  return {static_cast<T*>(call.y) + (int64_t{tile.first_row} + first_row) * width + columns.first,
          width,
          tile.rows - first_row,
          columns.count,
          bias,
          call.bias_dtype,
          columns.first};
}

// Half of the sums at a time, 64 columns at most, by the same code, since a block waits for each line of what
// it runs once a tile.
template <class T, int kSums>
__device__ void write_in_pieces(TileOutput<T> output, const float (&sum)[kSums]) {
  constexpr int kPiece = kSums < 64 ? kSums / 2 : 32;
  float left[kSums];
#pragma unroll
  for (int i = 0; i < kSums; ++i) left[i] = sum[i];
#pragma unroll 1
  for (int piece = 0; piece < kSums / kPiece; ++piece) {
    output.write(reinterpret_cast<const float(&)[kPiece]>(left));
    output.y += 2 * kPiece;
    output.columns -= 2 * kPiece;
    output.first_column += 2 * kPiece;
#pragma unroll
    for (int i = 0; i < kSums - kPiece; ++i) left[i] = left[i + kPiece];
  }
}

// Writes a warpgroup's sums of 64 rows, from `first_row` of the tile on, and `columns`. Those of experts have
// no bias, but may be bf16.
template <bool kOfExperts, int kSums, class Shape>
__device__ void write_sums(const Fp8Tiles& call, const Fp8Tile& tile, const Fp8Columns<Shape>& columns,
                           int first_row, const float (&sum)[kSums]) {
  if (kOfExperts && call.y_dtype == DType::kBF16) {
    write_in_pieces(output_of<gpuBfloat16>(call, tile, columns, first_row, nullptr), sum);
  } else {
    write_in_pieces(output_of<float>(call, tile, columns, first_row, kOfExperts ? nullptr : call.bias), sum);
  }
}

}  // namespace musaic
