#include "ops/linear_fp8/fp8_any_rows.cuh"
#include "ops/linear_fp8/fp8_few_rows.cuh"
#include "ops/linear_fp8/fp8_many_rows.cuh"
#include "ops/linear_fp8/linear_fp8_gpu.h"

namespace musaic {
namespace {

// Up to here weights are read from memory once, whatever the tile, and small tiles fill the device.
constexpr int64_t kFewRows = 64;
// Tiles that keep most multiprocessors of a large device busy; with fewer, smaller ones are faster.
constexpr int64_t kEnoughTiles = 96;
constexpr int64_t kMostGridRows = 65535;

using LargeTile = ManyRowsShape<4>;
using SmallTile = ManyRowsShape<2>;

int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}
int64_t smaller(int64_t a, int64_t b) {
  return a < b ? a : b;
}

// Rows [first_row, first_row + most) of y as far as they are real.
__device__ void set_rows(Fp8Tile& tile, const LinearFp8Call& call, int64_t first_row, int64_t most) {
  const int64_t rows = live_count(call.live_rows, call.rows) - first_row;
  tile.first_row = first_row;
  tile.rows = static_cast<int>(rows < 0 ? 0 : rows < most ? rows : most);
}

// A block has `block_rows` rows.
template <int kSquares>
__global__ void __launch_bounds__(FewRows<kSquares>::kThreads, 1)
    linear_fp8_few_rows(LinearFp8Call call, Fp8Operands operands, Fp8Weight weight, int block_rows) {
  __shared__ FewRowsMemory<kSquares> memory;
  FewRows<kSquares> few(operands, memory);
  Fp8Tile tile = weight.tile<kFewColumns>(0, static_cast<int>(blockIdx.x));
  FewWeights weights;
  few.load(tile, 0, weights);
  set_rows(tile, call, static_cast<int64_t>(blockIdx.y) * block_rows, block_rows);
  wait_for_previous_kernel();
  few.run(tile, weights);
}

template <class Shape>
__global__ void __launch_bounds__(Shape::kThreads, 256 / Shape::kThreads)
    linear_fp8_many_rows(LinearFp8Call call, Fp8Operands operands, Fp8Weight weight) {
  __shared__ ManyRowsMemory<Shape> memory;
  Fp8Tile tile = weight.tile<kManyColumns>(0, static_cast<int>(blockIdx.x));
  ManyRows<Shape> many(operands, tile, memory);
  many.start_weights();
  set_rows(tile, call, static_cast<int64_t>(blockIdx.y) * Shape::kRows, Shape::kRows);
  wait_for_previous_kernel();
  if (tile.rows > 0) many.run();
}

__global__ void linear_fp8_any_rows(LinearFp8Call call, Fp8Operands operands, Fp8Weight weight) {
  Fp8Tile tile = weight.tile<kAnyColumns>(0, static_cast<int>(blockIdx.x));
  wait_for_previous_kernel();
  set_rows(tile, call, blockIdx.y, call.rows);
  sum_any_rows(operands, tile, static_cast<int>(gridDim.y));
}

struct Launch {
  const LinearFp8Call& call;
  Fp8Operands operands;
  Fp8Weight weight;
  gpuStream_t stream;

  template <int kSquares>
  void few_rows() const {
    constexpr int64_t kRows = FewRows<kSquares>::kRows;
    const int64_t tiles = weight.num_tiles<kFewColumns>();
    const int64_t passes = ceil_div(call.rows, kRows);
    const int64_t blocks_a_tile = smaller(passes, ceil_div(kEnoughTiles, tiles));
    const int64_t block_rows = ceil_div(passes, blocks_a_tile) * kRows;
    const dim3 grid(static_cast<unsigned>(tiles), static_cast<unsigned>(ceil_div(call.rows, block_rows)));
    launch_kernel(linear_fp8_few_rows<kSquares>, grid, few_rows_threads(call.k), stream, call, operands,
                  weight, static_cast<int>(block_rows));
  }
  template <class Shape>
  int64_t num_tiles() const {
    return weight.num_tiles<kManyColumns>() * ceil_div(call.rows, Shape::kRows);
  }
  template <class Shape>
  void many_rows() const {
    const dim3 grid(static_cast<unsigned>(weight.num_tiles<kManyColumns>()),
                    static_cast<unsigned>(ceil_div(call.rows, Shape::kRows)));
    launch_kernel(linear_fp8_many_rows<Shape>, grid, Shape::kThreads, stream, call, operands, weight);
  }
  void any_rows() const {
    const dim3 grid(static_cast<unsigned>(weight.num_tiles<kAnyColumns>()),
                    static_cast<unsigned>(smaller(call.rows, kMostGridRows)));
    launch_kernel(linear_fp8_any_rows, grid, kAnyColumns, stream, call, operands, weight);
  }
};

}  // namespace

void launch_linear_fp8(const LinearFp8Call& call, gpuStream_t stream) {
  if (call.rows == 0) return;
  const Launch launch = {call,
                         {call.q, call.scale, nullptr, call.bias, call.bias_dtype, call.y, call.n, call.k},
                         {call.weight, call.weight_scale, call.n, 1, call.k},
                         stream};
  if (!has_pieces(call.q, call.weight, call.k)) return launch.any_rows();
  if (call.rows <= FewRows<1>::kRows) return launch.few_rows<1>();
  if (call.rows <= kFewRows) return launch.few_rows<2>();
  if (launch.num_tiles<LargeTile>() >= kEnoughTiles) return launch.many_rows<LargeTile>();
  launch.many_rows<SmallTile>();
}

}  // namespace musaic
