#include "ops/linear/linear_sm90.h"

#include <algorithm>
#include <initializer_list>

#include "ops/linear/bf16_tiles_sm90.cuh"
#include "ops/linear/bf16_wide_tiles_sm90.cuh"
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

// That blocks which hold all of k take; more read the weight too often.
constexpr int64_t kFewRows = 64;
constexpr int kMostWholeSteps = 24;

bool suits_whole_k(const LinearTileCall& call) {
  return call.rounds_x && num_steps_of(call) <= kMostWholeSteps;
}

// Fewer are done sooner by tiles of 16 rows.
int64_t first_rows(const LinearTileCall& call) {
  return is_wide(call) || suits_whole_k(call) ? 17 : 49;
}

bool has_aligned_rows(const DeviceRows& rows) {
  return is_aligned(rows.data, 16) && (rows.outer == 1 || rows.outer_stride % 4 == 0);
}

// A way to make the tiles of a call, and how long it takes.
struct Choice {
  int64_t cycles;
  bool (*launch)(const LinearTileCall& call, gpuStream_t stream);
};

// Of the next launch, which cannot be set up meanwhile: for a cluster, its blocks must all find room.
template <int kBlocksOfCluster>
constexpr int64_t kCrowdedCycles = 750 * kBlocksOfCluster;

// `step_cycles`: what a step takes, be it for reading its tiles, for preparing or for multiplying them.
template <class Shape, bool kNorm>
Choice choice(const LinearTileCall& call, int64_t step_cycles) {
  constexpr int64_t kTileCycles = 600 + 10 * Shape::kColumns;  // the first step's wait, the results
  const int64_t at_once = active_bf16_clusters<Shape, kNorm>();
  const int64_t clusters = Bf16TileWalk<Shape>::num_cluster_tiles(call);
  const int64_t rounds = (clusters + at_once - 1) / at_once;
  const int64_t crowded = 2 * clusters > at_once ? kCrowdedCycles<Shape::kBlocks> : 0;
  return {rounds * (num_steps_of(call) * step_cycles + kTileCycles) + crowded,
          launch_bf16_tiles<Shape, kNorm>};
}

// The same where multiplying takes so little that many blocks wait for the L2 cache.
template <class Shape, bool kNorm>
Choice rounded_choice(const LinearTileCall& call, int64_t step_cycles) {
  constexpr int64_t kBytesACycle = 2700;  // that the L2 cache gives
  constexpr int64_t kStepBytes = Shape::kRowBlocks * sizeof(Bf16Stage<Shape>::x) +
                                 Shape::kColumnBlocks * sizeof(Bf16Stage<Shape>::weight);  // of a cluster
  const int64_t clusters =
      std::min<int64_t>(Bf16TileWalk<Shape>::num_cluster_tiles(call), active_bf16_clusters<Shape, kNorm>());
  return choice<Shape, kNorm>(call, std::max(step_cycles, clusters * kStepBytes / kBytesACycle));
}

constexpr Choice kNone = {INT64_MAX, nullptr};

// For rows that are few enough for blocks to read their parts of the weight ahead of them.
template <class Shape, bool kNorm>
Choice whole_k_choice(const LinearTileCall& call, int64_t step_cycles) {
  constexpr int64_t kTileCycles = 300;
  const dim3 grid = Shape::grid(call);
  const int64_t blocks = int64_t{grid.x} * grid.y, multiprocessors = num_multiprocessors();
  const int64_t at_once = Shape::kBlocks * multiprocessors;
  if (num_steps_of(call) > Shape::kSteps || call.linear.x.outer > kFewRows || blocks > at_once) return kNone;
  const int64_t rounds = (blocks + multiprocessors - 1) / multiprocessors;  // they share what one can read
  const int64_t crowded = rounds > 1 || 16 * blocks > 9 * at_once ? kCrowdedCycles<2> : 0;
  return {rounds * (num_steps_of(call) * step_cycles + kTileCycles) + crowded, launch_whole_k<Shape, kNorm>};
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

using Tile96 = Bf16TileShape<96, 1, 1, 1, 2, 6>;
using Square96 = Bf16TileShape<96, 1, 1, 2, 2, 6>;  // clusters of four

// As many steps as rows of 576 and of 1,536 values have.
using Rows16 = WholeKShape<16, 1, 9, 2, 3, 2>;
using Rows32 = WholeKShape<32, 2, 9, 1, 3, 2>;
using Long8 = WholeKShape<8, 1, kMostWholeSteps, 1, 3, 4>;
using Long16 = WholeKShape<16, 1, kMostWholeSteps, 1, 3, 2>;

template <bool kNorm>
Choice choose_rounded(const LinearTileCall& call) {
  Choice best = fastest(
      {rounded_choice<Tile32<1, 1>, kNorm>(call, 280), rounded_choice<Tile64<1, 1>, kNorm>(call, 330),
       rounded_choice<Tile96, kNorm>(call, 450), rounded_choice<Square96, kNorm>(call, 440),
       rounded_choice<Tile128<1, 1>, kNorm>(call, 480), rounded_choice<Tile192<1, 1>, kNorm>(call, 700),
       rounded_choice<Tile256<1, 1>, kNorm>(call, 880), whole_k_choice<Rows16, kNorm>(call, 110),
       whole_k_choice<Rows32, kNorm>(call, 400), whole_k_choice<Long16, kNorm>(call, 145)});
  if constexpr (!kNorm) best = fastest({best, whole_k_choice<Long8, kNorm>(call, 140)});
  return best;
}

// Of 128 rows by two warpgroups, of 192 by three; pairs of blocks share the weight or x.
using WideRows = Bf16WideShape<2, 2, 6>;
using WideColumns = Bf16WideShape<2, 1, 6>;
using HighColumns = Bf16WideShape<3, 1, 5>;

template <class Shape>
Choice wide_choice(const LinearTileCall& call, int64_t step_cycles, int64_t tile_cycles) {
  constexpr int64_t kLaunchCycles = 4000;
  constexpr int64_t kRoundedBytesACycle = 1700;  // x is read, its rounded values are written and read
  constexpr int64_t kWeightBytesACycle = 1000;
  const int64_t clusters = Bf16TileWalk<Shape>::num_cluster_tiles(call);
  const int64_t at_once = active_wide_bf16_clusters<Shape>();
  const int64_t rounds = (clusters + at_once - 1) / at_once;
  const int64_t rounded_bytes = call.linear.x.outer * call.linear.x.width * 6;
  const int64_t weight_bytes = weight_rows_of(call) * call.linear.weight_row_bytes;
  const int64_t cycles =
      std::max(rounds * (num_steps_of(call) * step_cycles + tile_cycles), weight_bytes / kWeightBytesACycle);
  return {cycles + kLaunchCycles + rounded_bytes / kRoundedBytesACycle, launch_wide_bf16_tiles<Shape>};
}

Choice choose_wide(const LinearTileCall& call) {
  constexpr int64_t kMostSharing = 1536;  // rows; of more, blocks rather share x
  if (call.rounded == nullptr || call.linear.x.width < kFewestRoundedValues) return kNone;
  const bool shares_weight = call.linear.x.outer <= kMostSharing;
  return fastest(
      {shares_weight ? wide_choice<WideRows>(call, 720, 4000) : wide_choice<WideColumns>(call, 720, 4000),
       wide_choice<HighColumns>(call, 950, 6000)});
}

// The cycles of other choices count a cache that gives less than it does where many blocks read.
bool is_worth_rounding(const Choice& wide, const Choice& other) {
  return wide.cycles < other.cycles / 8 * 7;
}

template <bool kNorm>
Choice choose(const LinearTileCall& call) {
  if (!call.rounds_x) return choose_exact<kNorm>(call);
  const Choice best = choose_rounded<kNorm>(call), wide = choose_wide(call);
  return is_worth_rounding(wide, best) ? wide : best;
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
