#include "ops/grouped_linear/grouped_linear_fp8_sm90.h"

#include "ops/linear_fp8/fp8_tiles_sm90.cuh"

namespace musaic {

// Tiles of 64 rows: an expert has few.
bool launch_grouped_linear_fp8_sm90(const GroupedLinearFp8Call& call, gpuStream_t stream) {
  using Shape = Fp8TileShape<1, 2, 128, 5>;
  constexpr int64_t kFirstRows = 33;  // fewer are done sooner by tiles of 16 rows
  if (call.rows < kFirstRows) return false;
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
  return launch_fp8_tiles<Shape>(tiles, call.weight, call.rows / Shape::kRows + call.num_experts, stream);
}

}  // namespace musaic
