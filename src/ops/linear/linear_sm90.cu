#include "ops/linear/linear_sm90.h"

#include "ops/linear/bf16_tiles_sm90.cuh"

namespace musaic {
namespace {

constexpr int64_t kFirstRows = 33;  // fewer are done sooner by tiles of 16 rows

bool has_aligned_rows(const DeviceRows& rows) {
  return is_aligned(rows.data, 16) && (rows.outer == 1 || rows.outer_stride % 4 == 0);
}

// A way to make the tiles of a call, and how long it takes.
struct Choice {
  int64_t cycles;
  bool (*launch)(const LinearTileCall& call, gpuStream_t stream);
};

// `step_cycles`: of one step, as long as reading, copying or multiplying a tile takes, whichever is longest.
template <class Shape, bool kNorm>
Choice choice(const LinearTileCall& call, int64_t step_cycles) {
  constexpr int64_t kTileCycles = 1500;  // from the first copy to the first product, and the results
  const int64_t at_once = active_bf16_clusters<Shape, kNorm>();
  const int64_t rounds = (Bf16TileWalk<Shape>::num_cluster_tiles(call) + at_once - 1) / at_once;
  return {rounds * (num_steps_of(call) * step_cycles + kTileCycles), launch_bf16_tiles<Shape, kNorm>};
}

using Tile32 = Bf16TileShape<32, 1, 2, 8>;
using Tile64 = Bf16TileShape<64, 1, 2, 8>;
using Tile128 = Bf16TileShape<128, 1, 2, 5>;
using Tile192 = Bf16TileShape<192, 2, 1, 4>;

Choice faster(const Choice& a, const Choice& b) {
  return b.cycles < a.cycles ? b : a;
}

template <bool kNorm>
Choice choose(const LinearTileCall& call) {
  return faster(faster(choice<Tile32, kNorm>(call, 330), choice<Tile64, kNorm>(call, 350)),
                faster(choice<Tile128, kNorm>(call, 560), choice<Tile192, kNorm>(call, 800)));
}

}  // namespace

bool launch_linear_sm90(const LinearTileCall& call, gpuStream_t stream) {
  if (call.linear.x.outer < kFirstRows || !has_aligned_rows(call.linear.x) ||
      !has_aligned_rows(call.linear.y))
    return false;
  const Choice best = call.norm_weight != nullptr ? choose<true>(call) : choose<false>(call);
  return best.launch(call, stream);
}

}  // namespace musaic
