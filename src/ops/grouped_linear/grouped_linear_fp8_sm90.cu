#include "ops/grouped_linear/grouped_linear_fp8_sm90.h"

#include "ops/linear_fp8/fp8_tile_calls_sm90.cuh"

namespace musaic {
namespace {

using Tall = Fp8TileShape<2, 1, 128, 6>;
using Wide = Fp8TileShape<1, 2, 128, 5>;

template <class Shape>
bool launch_shape(const GroupedLinearFp8Call& call, gpuStream_t stream) {
  return launch_fp8_tiles<Shape>(tiles_of(call), call.weight, row_tiles<Shape>(call), stream);
}

}  // namespace

// Most experts' rows shall fit into one tile, which then reads the weight alone; where they do not, low tiles
// leave fewer rows empty.
bool launch_grouped_linear_fp8_sm90(const GroupedLinearFp8Call& call, gpuStream_t stream) {
  constexpr int64_t kRowsInOneTile = 112;  // on average
  static_assert(kMaxSm90Experts == kMaxTileExperts, "a block keeps all experts in mind");
  if (call.rows == 0) return true;
  if (call.rows <= kRowsInOneTile * call.num_experts) return launch_shape<Tall>(call, stream);
  return launch_shape<Wide>(call, stream);
}

}  // namespace musaic
