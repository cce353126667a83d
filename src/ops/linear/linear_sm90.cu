#include "ops/linear/linear_sm90.h"

#include <algorithm>
#include <initializer_list>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include "ops/linear/bf16_tiles_sm90.cuh"
#include "ops/linear/whole_k_sm90.cuh"

namespace musaic {
namespace {

// Of an exact x, which shapes of tile make a call depends on the weight, so that each weight's shapes give
// the same bits: those of few columns have a chain of products for each part of x, those of many do not find
// registers for it.
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
  constexpr int64_t kCrowdedCycles = 1500;  // of the next launch, which cannot be set up meanwhile
  const int64_t at_once = active_bf16_clusters<Shape, kNorm>();
  const int64_t clusters = Bf16TileWalk<Shape>::num_cluster_tiles(call);
  const int64_t rounds = (clusters + at_once - 1) / at_once;
  const int64_t crowded = 2 * clusters > at_once ? kCrowdedCycles : 0;
  return {rounds * (num_steps_of(call) * step_cycles + kTileCycles) + crowded,
          launch_bf16_tiles<Shape, kNorm>};
}

template <int kParts, int kChains>
using Tile32 = Bf16TileShape<32, kParts, kChains, 1, 2, 8>;
template <int kParts, int kChains>
using Tile64 = Bf16TileShape<64, kParts, kChains, 1, 2, 8>;
template <int kParts, int kChains>
using Tile128 = Bf16TileShape<128, kParts, kChains, 1, 2, 6>;
template <int kParts, int kChains>
using Tile192 = Bf16TileShape<192, kParts, kChains, 2, 1, 4>;
template <int kParts, int kChains>
using Tile256 = Bf16TileShape<256, kParts, kChains, 2, 1, 3>;

Choice fastest(std::initializer_list<Choice> choices) {
  return *std::min_element(choices.begin(), choices.end(),
                           [](const Choice& a, const Choice& b) { return a.cycles < b.cycles; });
}

template <bool kNorm>
Choice choose_exact(const LinearTileCall& call) {
  if (is_wide(call))
    return fastest({choice<Tile64<2, 1>, kNorm>(call, 550), choice<Tile128<2, 1>, kNorm>(call, 620),
                    choice<Tile192<2, 1>, kNorm>(call, 900), choice<Tile256<2, 1>, kNorm>(call, 1150)});
  return fastest({choice<Tile32<2, 2>, kNorm>(call, 340), choice<Tile64<2, 2>, kNorm>(call, 370),
                  choice<Tile128<2, 2>, kNorm>(call, 600)});
}

template <int kParts, int kChains>
using Tile96 = Bf16TileShape<96, kParts, kChains, 1, 2, 6>;
template <int kParts, int kChains>
using Square96 = Bf16TileShape<96, kParts, kChains, 2, 2, 6>;
template <int kParts, int kChains>
using Square128 = Bf16TileShape<128, kParts, kChains, 2, 2, 6>;

using Rows8 = WholeKShape<8, 1, 9, 2, 5>;
using Rows16 = WholeKShape<16, 1, 9, 2, 5>;
using Rows32 = WholeKShape<32, 1, 9, 2, 5>;
using Wide32 = WholeKShape<32, 2, 9, 1, 5>;
using Long8 = WholeKShape<8, 1, 24, 1, 12>;
using Long16 = WholeKShape<16, 1, 24, 1, 12>;

template <class Shape, bool kNorm>
Choice whole_choice(const LinearTileCall& call) {
  if (num_steps_of(call) > Shape::kSteps) return {INT64_MAX, nullptr};
  return {INT64_MAX - 1, launch_whole_k<Shape, kNorm>};
}

int forced(const LinearTileCall& call) {
  static const char* list = std::getenv("SHAPES");
  if (list == nullptr || call.linear.x.outer < 49 || call.linear.x.outer > 1024) return -1;
  char key[64];
  std::snprintf(key, sizeof(key), "%dx%d@%d=", static_cast<int>(weight_rows_of(call)),
                static_cast<int>(call.linear.x.width), call.linear.x.outer > 128 ? 512 : 64);
  const char* at = std::strstr(list, key);
  return at == nullptr ? -1 : std::atoi(at + std::strlen(key));
}

template <bool kNorm>
Choice choose_rounded(const LinearTileCall& call) {
  const Choice ring[] = {choice<Tile32<1, 1>, kNorm>(call, 300),  choice<Tile64<1, 1>, kNorm>(call, 340),
                         choice<Tile96<1, 1>, kNorm>(call, 410),  choice<Square96<1, 1>, kNorm>(call, 380),
                         choice<Tile128<1, 1>, kNorm>(call, 480), choice<Square128<1, 1>, kNorm>(call, 440),
                         choice<Tile192<1, 1>, kNorm>(call, 700), choice<Tile256<1, 1>, kNorm>(call, 880),
                         whole_choice<Rows16, kNorm>(call),       whole_choice<Rows32, kNorm>(call)};
  Choice all[13];
  std::copy(std::begin(ring), std::end(ring), all);
  if constexpr (kNorm) {
    all[10] = whole_choice<Wide32, true>(call);
    all[11] = all[12] = all[10];
  } else {
    all[10] = whole_choice<Rows8, false>(call);
    all[11] = whole_choice<Long8, false>(call);
    all[12] = whole_choice<Long16, false>(call);
  }
  const int index = forced(call);
  if (index >= 0 && all[index].launch != nullptr) return all[index];
  return *std::min_element(std::begin(ring), std::end(ring),
                           [](const Choice& a, const Choice& b) { return a.cycles < b.cycles; });
}

template <bool kNorm>
Choice choose(const LinearTileCall& call) {
  return call.rounds_x ? choose_rounded<kNorm>(call) : choose_exact<kNorm>(call);
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
