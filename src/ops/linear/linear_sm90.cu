#include "ops/linear/linear_sm90.h"

#include <algorithm>
#include <iterator>

#include "ops/linear/bf16_tiles_sm90.cuh"

namespace musaic {
namespace {

// Fewer are done sooner by tiles of 16 rows: they read a weight of many rows several times.
int64_t first_rows(const LinearTileCall& call) {
  constexpr int64_t kManyColumns = 2048;
  return weight_rows_of(call) >= kManyColumns ? 17 : 49;
}

bool has_aligned_rows(const DeviceRows& rows) {
  return is_aligned(rows.data, 16) && (rows.outer == 1 || rows.outer_stride % 4 == 0);
}

// A way to make the tiles of a call, and how long it takes.
struct Choice {
  int64_t cycles;
  bool (*launch)(const LinearTileCall& call, gpuStream_t stream);
};

// As measured: a step takes as long as preparing or multiplying its tile or as the L2 cache needs for what
// all blocks read, whichever is longest.
template <class Shape, bool kNorm>
Choice choice(const LinearTileCall& call) {
  constexpr int64_t kPrepareCycles = 350;
  constexpr int64_t kMultiplyCycles = 4 * Shape::kColumns + 50;
  constexpr int64_t kTileCycles = 600 + 10 * Shape::kColumns;  // the first step's wait, the results
  constexpr int64_t kCacheBytes = 3600;                        // a cycle
  constexpr int64_t kReadBytes = sizeof(Bf16Stage<Shape>::x) / Shape::kColumnBlocks +
                                 sizeof(Bf16Stage<Shape>::weight) / Shape::kRowBlocks;
  const int64_t at_once = active_bf16_clusters<Shape, kNorm>();
  const int64_t clusters = Bf16TileWalk<Shape>::num_cluster_tiles(call);
  const int64_t rounds = (clusters + at_once - 1) / at_once;
  const int64_t read_cycles = std::min(clusters, at_once) * Shape::kBlocks * kReadBytes / kCacheBytes;
  const int64_t step_cycles = std::max(read_cycles, std::max(kPrepareCycles, kMultiplyCycles));
  return {rounds * (num_steps_of(call) * step_cycles + kTileCycles), launch_bf16_tiles<Shape, kNorm>};
}

using Tile32 = Bf16TileShape<32, 1, 2, 8>;
using Tile64 = Bf16TileShape<64, 1, 2, 8>;
using Tile96 = Bf16TileShape<96, 1, 2, 6>;
using Tile128 = Bf16TileShape<128, 1, 2, 5>;
using Tile192 = Bf16TileShape<192, 2, 1, 4>;
using Tile256 = Bf16TileShape<256, 2, 1, 3>;

template <bool kNorm, class... Shapes>
Choice fastest(const LinearTileCall& call) {
  const Choice choices[] = {choice<Shapes, kNorm>(call)...};
  return *std::min_element(std::begin(choices), std::end(choices),
                           [](const Choice& a, const Choice& b) { return a.cycles < b.cycles; });
}
template <bool kNorm>
Choice choose(const LinearTileCall& call) {
  return fastest<kNorm, Tile32, Tile64, Tile96, Tile128, Tile192, Tile256>(call);
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
