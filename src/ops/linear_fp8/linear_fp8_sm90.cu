#include "ops/linear_fp8/linear_fp8_sm90.h"

#include "ops/linear_fp8/fp8_tile_calls_sm90.cuh"

namespace musaic {
namespace {

using Large = Fp8TileShape<2, 1, 128, 6, kCopiesRows>;
using Middle = Fp8TileShape<1, 2, 64, 8>;
using Small = Fp8TileShape<1, 2, 32, 8>;

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
