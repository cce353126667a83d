#include "ops/linear_fp8/linear_fp8_sm90.h"

#include <algorithm>
#include <initializer_list>

#include "ops/linear_fp8/fp8_tile_calls_sm90.cuh"

namespace musaic {
namespace {

template <int kRowTiles, int kColumnTiles, int kColumns, int kStages>
using Shape = Fp8TileShape<kRowTiles, kColumnTiles, kColumns, kStages, kCopiesRows | kReadsScales>;
using Large = Shape<2, 1, 128, 6>;
using High = Shape<2, 1, 64, 8>;
using Low = Shape<1, 2, 64, 8>;
using Small = Shape<1, 2, 32, 8>;
using Broad = Fp8TileShape<2, 3, 64, 5, kCopiesRows | kReadsScales | kBroadTile>;
using Wide = Fp8TileShape<2, 2, 128, 4, kCopiesRows | kWideTile>;

// A shape of tile. Of those that take as long the one with fewer tiles leaves fewer rows and columns empty.
struct Choice {
  int64_t cost;
  int64_t tiles;
  bool (*launch)(const Fp8Tiles& tiles, const uint8_t* weight, int64_t row_tiles, gpuStream_t stream);
  int64_t row_tiles;
};

// `tile_cost`: in proportion to what a tile was measured to take where every multiprocessor has one.
template <class Tile>
Choice choice(const LinearFp8Call& call, int64_t tile_cost) {
  const Fp8Tiles tiles = tiles_of(call);
  const int64_t count = row_tiles<Tile>(call);
  return {tile_cost * tiles_a_block<Tile>(tiles, count), count * Fp8Columns<Tile>::block_tiles(tiles),
          launch_fp8_tiles<Tile>, count};
}

}  // namespace

bool launch_linear_fp8_sm90(const LinearFp8Call& call, gpuStream_t stream) {
  if (call.rows == 0) return true;
  const std::initializer_list<Choice> choices = {choice<Small>(call, 51),  choice<High>(call, 61),
                                                 choice<Low>(call, 61),    choice<Large>(call, 86),
                                                 choice<Broad>(call, 129), choice<Wide>(call, 163)};
  const Choice best = *std::min_element(choices.begin(), choices.end(), [](const Choice& a, const Choice& b) {
    return a.cost != b.cost ? a.cost < b.cost : a.tiles < b.tiles;
  });
  return best.launch(tiles_of(call), call.weight, best.row_tiles, stream);
}

}  // namespace musaic
