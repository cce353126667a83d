#include "ops/grouped_linear/grouped_linear_fp8_sm90.h"

#include "ops/linear_fp8/fp8_tiles_sm90.cuh"

namespace musaic {
namespace {

using Tall = Fp8TileShape<2, 1, 128, 6>;
using Wide = Fp8TileShape<1, 2, 128, 5>;

Fp8Tiles tiles_of(const GroupedLinearFp8Call& call) {
  Fp8Tiles tiles = {};
  tiles.q = call.q;
  tiles.scale = call.scale;
  tiles.row_token = call.row_token;
  tiles.start = call.start;
  tiles.count = call.count;
  tiles.weight_scale = call.weight_scale;
  tiles.y = call.y;
  tiles.rows = call.rows;
  tiles.num_experts = static_cast<int>(call.num_experts);
  tiles.parts = static_cast<int>(call.parts);
  tiles.part_columns = static_cast<int>(call.n / call.parts);
  tiles.groups = static_cast<int>(call.k / 128);
  return tiles;
}

template <class Shape>
bool launch_shape(const GroupedLinearFp8Call& call, gpuStream_t stream) {
  const int64_t row_tiles = std::min(call.rows, call.rows / Shape::kRows + call.num_experts);
  return launch_fp8_tiles<Shape>(tiles_of(call), call.weight, row_tiles, stream);
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
