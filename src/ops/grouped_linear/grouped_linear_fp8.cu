#include "ops/grouped_linear/expert_tiles.cuh"
#include "ops/grouped_linear/grouped_linear_gpu.h"
#include "ops/linear_fp8/fp8_any_rows.cuh"
#include "ops/linear_fp8/fp8_few_rows.cuh"
#include "ops/linear_fp8/fp8_many_rows.cuh"

namespace musaic {
namespace {

// Rows of an expert, on average, from which on tiles of many rows are faster.
constexpr int64_t kManyRows = 16;
// The same for two squares of rows at once.
constexpr int64_t kTwoSquareRows = 4;
constexpr int kBlocksOfProcessor = 2;

using Tile = ManyRowsShape<2>;

int64_t smaller(int64_t a, int64_t b) {
  return a < b ? a : b;
}

__device__ Fp8Weight weight_of(const GroupedLinearFp8Call& call, int64_t expert) {
  const int64_t part_columns = call.n / call.parts;
  const int64_t blocks = call.parts * ((part_columns + kScaleGroup - 1) / kScaleGroup);
  const int64_t groups = (call.k + kScaleGroup - 1) / kScaleGroup;
  return {call.weight + expert * call.n * call.k, call.weight_scale + expert * blocks * groups, part_columns,
          call.parts, call.k};
}

// A block's tiles of kColumns columns, one after another; those of the same rows are neighbours.
// REQUIRES: every thread of the block takes part.
template <int kColumns>
class TileWalk {
 public:
  // tile_rows as in count_tiles; part_tiles: of a part and a row tile.
  __device__ TileWalk(const GroupedLinearFp8Call& call, int tile_rows, int part_tiles, ExpertTiles& tiles)
      : call_(call),
        tile_rows_(tile_rows),
        parts_(static_cast<int>(call.parts)),
        part_tiles_(part_tiles),
        tiles_(tiles) {
    count_tiles(call.count, num_experts(), tile_rows, tiles);
  }

  __device__ int num_tiles() const { return tiles_.first[num_experts()] * parts_ * part_tiles_; }

  __device__ void seek(int index) {
    column_tile_ = index % part_tiles_;
    part_ = index / part_tiles_ % parts_;
    row_tile_ = index / part_tiles_ / parts_;
    enter_row_tile();
  }
  __device__ void advance() {
    if (++column_tile_ < part_tiles_) return;
    column_tile_ = 0;
    if (++part_ < parts_) return;
    part_ = 0;
    ++row_tile_;
    enter_row_tile();
  }
  // REQUIRES: there is one.
  __device__ Fp8Tile tile() const {
    Fp8Tile tile = weight_.template tile<kColumns>(part_, column_tile_);
    tile.first_row = first_row_;
    tile.rows = rows_;
    return tile;
  }

 private:
  __device__ int num_experts() const { return static_cast<int>(call_.num_experts); }
  __device__ void enter_row_tile() {
    if (row_tile_ >= tiles_.first[num_experts()]) return;
    const int expert = expert_of(tiles_, num_experts(), row_tile_);
    const int first_row = (row_tile_ - tiles_.first[expert]) * tile_rows_;
    weight_ = weight_of(call_, expert);
    first_row_ = call_.start[expert] + first_row;
    rows_ = call_.count[expert] - first_row;
    if (tile_rows_ > 0 && rows_ > tile_rows_) rows_ = tile_rows_;
  }

  const GroupedLinearFp8Call& call_;
  const int tile_rows_;
  const int parts_;
  const int part_tiles_;
  const ExpertTiles& tiles_;
  int row_tile_ = 0;
  int part_ = 0;
  int column_tile_ = 0;    // of the part
  Fp8Weight weight_ = {};  // of the row tile's expert
  int first_row_ = 0;
  int rows_ = 0;
};

template <int kSquares>
__global__ void __launch_bounds__(FewRows<kSquares>::kThreads, 1)
    grouped_few_rows(GroupedLinearFp8Call call, Fp8Operands operands, int part_tiles) {
  __shared__ FewRowsMemory<kSquares> memory;
  __shared__ ExpertTiles tiles;
  wait_for_previous_kernel();
  TileWalk<kFewColumns> walk(call, 0, part_tiles, tiles);
  FewRows<kSquares> few(operands, memory);
  FewWeights weights;
  const int64_t count = walk.num_tiles();
  const int end = static_cast<int>(count * (blockIdx.x + 1) / gridDim.x);
  int index = static_cast<int>(count * blockIdx.x / gridDim.x);
  for (walk.seek(index); index < end; ++index, walk.advance()) {
    const Fp8Tile tile = walk.tile();
    few.load(tile, 0, weights);
    few.run(tile, weights);
  }
}

__global__ void __launch_bounds__(Tile::kThreads, kBlocksOfProcessor)
    grouped_many_rows(GroupedLinearFp8Call call, Fp8Operands operands, int part_tiles) {
  __shared__ ManyRowsMemory<Tile> memory;
  __shared__ ExpertTiles tiles;
  wait_for_previous_kernel();
  TileWalk<kManyColumns> walk(call, Tile::kRows, part_tiles, tiles);
  const int count = walk.num_tiles();
  for (int index = static_cast<int>(blockIdx.x); index < count; index += static_cast<int>(gridDim.x)) {
    walk.seek(index);
    const Fp8Tile tile = walk.tile();
    ManyRows<Tile> many(operands, tile, memory);
    many.start_weights();
    many.run();
    __syncthreads();
  }
}

__global__ void grouped_any_rows(GroupedLinearFp8Call call, Fp8Operands operands) {
  wait_for_previous_kernel();
  const int64_t expert = blockIdx.z;
  Fp8Tile tile =
      weight_of(call, expert).tile<kAnyColumns>(static_cast<int>(blockIdx.y), static_cast<int>(blockIdx.x));
  tile.first_row = call.start[expert];
  tile.rows = call.count[expert];
  sum_any_rows(operands, tile, 1);
}

int part_tiles(const GroupedLinearFp8Call& call, int columns) {
  return static_cast<int>((call.n / call.parts + columns - 1) / columns);
}

// A kernel whose blocks walk over tiles of so many columns.
void launch_walk(void (*kernel)(GroupedLinearFp8Call, Fp8Operands, int), int64_t most_row_tiles, int columns,
                 int threads, int64_t processor_threads, const GroupedLinearFp8Call& call,
                 const Fp8Operands& operands, gpuStream_t stream) {
  const int column_tiles = part_tiles(call, columns);
  const int64_t blocks = smaller(most_row_tiles * call.parts * column_tiles,
                                 processor_threads / threads * num_multiprocessors());
  launch_kernel(kernel, static_cast<unsigned>(blocks), threads, stream, call, operands, column_tiles);
}

template <int kSquares>
void launch_few_rows(const GroupedLinearFp8Call& call, const Fp8Operands& operands, int64_t most_experts,
                     gpuStream_t stream) {
  launch_walk(grouped_few_rows<kSquares>, most_experts, kFewColumns, few_rows_threads(call.k),
              FewRows<kSquares>::kThreads, call, operands, stream);
}

}  // namespace

void launch_grouped_linear_fp8(const GroupedLinearFp8Call& call, gpuStream_t stream) {
  if (call.rows == 0) return;
  const Fp8Operands operands = {call.q,      call.scale, call.row_token, nullptr,
                                DType::kF32, call.y,     call.n,         call.k};
  const int64_t most_experts = smaller(call.rows, call.num_experts);
  if (!has_pieces(call.q, call.weight, call.k) || call.num_experts > kMostExperts) {
    const dim3 grid(static_cast<unsigned>(part_tiles(call, kAnyColumns)), static_cast<unsigned>(call.parts),
                    static_cast<unsigned>(call.num_experts));
    return launch_kernel(grouped_any_rows, grid, kAnyColumns, stream, call, operands);
  }
  if (call.rows >= kManyRows * call.num_experts)
    return launch_walk(grouped_many_rows, call.rows / Tile::kRows + most_experts, kManyColumns,
                       Tile::kThreads, kBlocksOfProcessor * Tile::kThreads, call, operands, stream);
  if (call.rows > kTwoSquareRows * call.num_experts)
    return launch_few_rows<2>(call, operands, most_experts, stream);
  launch_few_rows<1>(call, operands, most_experts, stream);
}

}  // namespace musaic
