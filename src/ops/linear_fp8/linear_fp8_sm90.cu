#include "ops/linear_fp8/linear_fp8_sm90.h"

#include "ops/linear_fp8/fp8_tiles_sm90.cuh"

namespace musaic {
namespace {

using Large = Fp8TileShape<2, 1, 128, 6>;
using Middle = Fp8TileShape<1, 2, 64, 8>;
using Small = Fp8TileShape<1, 2, 32, 8>;

template <class Shape>
int64_t row_tiles(const LinearFp8Call& call) {
  return (call.rows + Shape::kRows - 1) / Shape::kRows;
}

Fp8Tiles tiles_of(const LinearFp8Call& call) {
  Fp8Tiles tiles = {};
  tiles.q = call.q;
  tiles.scale = call.scale;
  tiles.live_rows = call.live_rows;
  tiles.weight_scale = call.weight_scale;
  tiles.bias = call.bias;
  tiles.bias_dtype = call.bias_dtype;
  tiles.y = call.y;
  tiles.rows = call.rows;
  tiles.num_experts = 1;
  tiles.parts = 1;
  tiles.part_columns = static_cast<int>(call.n);
  tiles.groups = static_cast<int>(call.k / 128);
  return tiles;
}

}  // namespace

bool launch_linear_fp8_sm90(const LinearFp8Call& call, gpuStream_t stream) {
  if (call.rows == 0) return true;
  const Fp8Tiles tiles = tiles_of(call);
  // In proportion to what the tiles of one multiprocessor were measured to take.
  const int64_t small = 13 * tiles_a_block<Small>(tiles, row_tiles<Small>(call));
  const int64_t middle = 15 * tiles_a_block<Middle>(tiles, row_tiles<Middle>(call));
  const int64_t large = 20 * tiles_a_block<Large>(tiles, row_tiles<Large>(call));
  if (large <= std::min(small, middle))
    return launch_fp8_tiles<Large>(tiles, call.weight, row_tiles<Large>(call), stream);
  if (middle <= small) return launch_fp8_tiles<Middle>(tiles, call.weight, row_tiles<Middle>(call), stream);
  return launch_fp8_tiles<Small>(tiles, call.weight, row_tiles<Small>(call), stream);
}

}  // namespace musaic
