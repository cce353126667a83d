#include "ops/linear/linear_sm90.h"

#include "ops/linear/bf16_tiles_sm90.cuh"

namespace musaic {
namespace {

// Which shapes of tile make a call depends on the weight, so that each weight's shapes give the same bits:
// those of few columns have a chain of products for each part of x, those of many do not find registers for
// it.
bool is_wide(const LinearTileCall& call) {
  constexpr int64_t kWide = 2048;
  return weight_rows_of(call) >= kWide;
}

// Fewer are done sooner by tiles of 16 rows.
int64_t first_rows(const LinearTileCall& call) {
  return is_wide(call) ? 17 : 49;
}

bool has_aligned_rows(const DeviceRows& rows) {
  return is_aligned(rows.data, 16) && (rows.outer == 1 || rows.outer_stride % 4 == 0);
}

// A way to make the tiles of a call, and how long it takes.
struct Choice {
  int64_t cycles;
  bool (*launch)(const LinearTileCall& call, gpuStream_t stream);
};

// `step_cycles`: what a step takes, be it for reading its tiles, for preparing or for multiplying them.
template <class Shape, bool kNorm>
Choice choice(const LinearTileCall& call, int64_t step_cycles) {
  constexpr int64_t kTileCycles = 600 + 10 * Shape::kColumns;  // the first step's wait, the results
  const int64_t at_once = active_bf16_clusters<Shape, kNorm>();
  const int64_t rounds = (Bf16TileWalk<Shape>::num_cluster_tiles(call) + at_once - 1) / at_once;
  return {rounds * (num_steps_of(call) * step_cycles + kTileCycles), launch_bf16_tiles<Shape, kNorm>};
}

using Narrow32 = Bf16TileShape<32, kXParts, 1, 2, 8>;
using Narrow64 = Bf16TileShape<64, kXParts, 1, 2, 8>;
using Narrow128 = Bf16TileShape<128, kXParts, 1, 2, 6>;
using Wide64 = Bf16TileShape<64, 1, 1, 2, 8>;
using Wide128 = Bf16TileShape<128, 1, 1, 2, 6>;
using Wide192 = Bf16TileShape<192, 1, 2, 1, 4>;
using Wide256 = Bf16TileShape<256, 1, 2, 1, 3>;

Choice faster(const Choice& a, const Choice& b) {
  return b.cycles < a.cycles ? b : a;
}

template <bool kNorm>
Choice choose(const LinearTileCall& call) {
  if (is_wide(call))
    return faster(faster(choice<Wide64, kNorm>(call, 550), choice<Wide128, kNorm>(call, 620)),
                  faster(choice<Wide192, kNorm>(call, 900), choice<Wide256, kNorm>(call, 1150)));
  return faster(faster(choice<Narrow32, kNorm>(call, 340), choice<Narrow64, kNorm>(call, 370)),
                choice<Narrow128, kNorm>(call, 600));
}

}  // namespace

bool launch_linear_sm90(const LinearTileCall& call, gpuStream_t stream) {
  if (call.linear.x.outer < first_rows(call) || !has_aligned_rows(call.linear.x) ||
      !has_aligned_rows(call.linear.y))
    return false;
  const Choice best = call.norm_weight != nullptr ? choose<true>(call) : choose<false>(call);
  return best.launch(call, stream);
}

}  // namespace musaic
