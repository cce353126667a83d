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

using Few32 = Bf16TileShape<32, 1, 4, 8>;
using Few64 = Bf16TileShape<64, 1, 4, 8>;
using Few128 = Bf16TileShape<128, 1, 4, 5>;
using Many64 = Bf16TileShape<64, 2, 2, 8>;
using Many128 = Bf16TileShape<128, 2, 2, 5>;
using Many192 = Bf16TileShape<192, 2, 2, 4>;

Choice faster(const Choice& a, const Choice& b) {
  return b.cycles < a.cycles ? b : a;
}

template <bool kNorm>
Choice choose(const LinearTileCall& call) {
  if (call.linear.x.outer <= kWarpgroupRows)
    return faster(faster(choice<Few32, kNorm>(call, 330), choice<Few64, kNorm>(call, 420)),
                  choice<Few128, kNorm>(call, 690));
  return faster(faster(choice<Many64, kNorm>(call, 420), choice<Many128, kNorm>(call, 560)),
                choice<Many192, kNorm>(call, 790));
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
