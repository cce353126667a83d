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

// A block's way over its tiles: those of kColumns columns of a row tile are neighbours.
template <int kColumns>
class TileWalk {
 public:
  // tile_rows as in count_tiles. REQUIRES: every thread of the block takes part.
  __device__ TileWalk(const GroupedLinearFp8Call& call, int tile_rows, ExpertTiles& tiles)
      : call_(call),
        tile_rows_(tile_rows),
        tiles_(tiles),
        column_tiles_(static_cast<int>(weight_of(call, 0).template num_tiles<kColumns>())) {
    count_tiles(call.count, static_cast<int>(call.num_experts), tile_rows, tiles);
  }

  // The block's next tile; false: there is none.
  __device__ bool next(Fp8Tile& tile) {
    const int index = next_;
    next_ += static_cast<int>(gridDim.x);
    const int row_tile = index / column_tiles_;
    if (row_tile >= tiles_.first[call_.num_experts]) return false;
    const int expert = cursor_.find(tiles_, row_tile);
    tile = weight_of(call_, expert).template tile<kColumns>(index % column_tiles_);
    const int first_row = (row_tile - tiles_.first[expert]) * tile_rows_;
    tile.first_row = call_.start[expert] + first_row;
    tile.rows = call_.count[expert] - first_row;
    if (tile_rows_ > 0 && tile.rows > tile_rows_) tile.rows = tile_rows_;
    return true;
  }

 private:
  const GroupedLinearFp8Call& call_;
  const int tile_rows_;
  const ExpertTiles& tiles_;
  const int column_tiles_;
  ExpertCursor cursor_;
  int next_ = static_cast<int>(blockIdx.x);
};

template <int kSquares>
__global__ void __launch_bounds__(kFewWarps* kWarpSize, kBlocksOfProcessor)
    grouped_few_rows(GroupedLinearFp8Call call, Fp8Operands operands) {
  __shared__ FewRowsMemory<kSquares> memory;
  __shared__ ExpertTiles tiles;
  wait_for_previous_kernel();
  TileWalk<kFewColumns> walk(call, 0, tiles);
  FewRows<kSquares> few(operands, memory);
  Fp8Tile tile;
  if (!walk.next(tile)) return;
  FewWeights weights;
  few.load(tile, 0, weights);
  for (bool has_next = true; has_next;) {
    Fp8Tile next;
    has_next = walk.next(next);
    few.run(tile, has_next, next, weights);
    tile = next;
  }
}

__global__ void __launch_bounds__(Tile::kThreads, kBlocksOfProcessor)
    grouped_many_rows(GroupedLinearFp8Call call, Fp8Operands operands) {
  __shared__ ManyRowsMemory<Tile> memory;
  __shared__ ExpertTiles tiles;
  wait_for_previous_kernel();
  TileWalk<kManyColumns> walk(call, Tile::kRows, tiles);
  Fp8Tile tile;
  while (walk.next(tile)) {
    ManyRows<Tile> many(operands, tile, memory);
    many.start_weights();
    many.run();
    __syncthreads();
  }
}

__global__ void grouped_any_rows(GroupedLinearFp8Call call, Fp8Operands operands) {
  wait_for_previous_kernel();
  const int64_t expert = blockIdx.y;
  Fp8Tile tile = weight_of(call, expert).tile<kAnyColumns>(blockIdx.x);
  tile.first_row = call.start[expert];
  tile.rows = call.count[expert];
  sum_any_rows(operands, tile, 1);
}

template <int kColumns>
int64_t num_column_tiles(const GroupedLinearFp8Call& call) {
  const Fp8Weight weight = {call.weight, call.weight_scale, call.n / call.parts, call.parts, call.k};
  return weight.num_tiles<kColumns>();
}

template <int kColumns>
void launch_walk(void (*kernel)(GroupedLinearFp8Call, Fp8Operands), int64_t most_row_tiles, int threads,
                 const GroupedLinearFp8Call& call, const Fp8Operands& operands, gpuStream_t stream) {
  const int64_t tiles = most_row_tiles * num_column_tiles<kColumns>(call);
  const int64_t blocks = smaller(tiles, int64_t{kBlocksOfProcessor} * num_multiprocessors());
  launch_kernel(kernel, static_cast<unsigned>(blocks), threads, stream, call, operands);
}

}  // namespace

void launch_grouped_linear_fp8(const GroupedLinearFp8Call& call, gpuStream_t stream) {
  if (call.rows == 0) return;
  const Fp8Operands operands = {call.q,      call.scale, call.row_token, nullptr,
                                DType::kF32, call.y,     call.n,         call.k};
  const int64_t most_experts = smaller(call.rows, call.num_experts);
  if (!has_pieces(call.q, call.weight, call.k) || call.num_experts > kMostExperts) {
    const dim3 grid(static_cast<unsigned>(num_column_tiles<kAnyColumns>(call)),
                    static_cast<unsigned>(call.num_experts));
    return launch_kernel(grouped_any_rows, grid, kAnyColumns, stream, call, operands);
  }
  if (call.rows >= kManyRows * call.num_experts)
    return launch_walk<kManyColumns>(grouped_many_rows, call.rows / Tile::kRows + most_experts,
                                     Tile::kThreads, call, operands, stream);
  const bool is_one_square = call.rows <= kTwoSquareRows * call.num_experts;
  launch_walk<kFewColumns>(is_one_square ? grouped_few_rows<1> : grouped_few_rows<2>, most_experts,
                           few_rows_threads(call.k), call, operands, stream);
}

}  // namespace musaic
