#pragma once

#include "ops/mla_attention/mla_attention_gpu.h"

namespace musaic {

// Expanded attention by Hopper's matrix units, with kv_b in FP8. Tiles of positions, counted from 0, are made
// first, as far as there is memory; of a step that sees more the others are made where they are needed, with
// the same bits.
inline constexpr int kMlaWideTile = 128;        // positions
inline constexpr int kMlaExtraWideTiles = 128;  // beside those of the step's own rows

// Keys and values of every head, and the rotated keys that the heads share: f16.
constexpr int64_t mla_wide_tile_bytes(int64_t heads) {
  return (heads * 2 * 128 + 64) * kMlaWideTile * 2;
}

// Results go to `fp8` where it has q, else to call.out. False: nothing was launched, since the driver cannot
// map kv_b. REQUIRES: compute capability 9.0, kv_b.has_matrix_sizes(), in FP8; a cache of 16-bit values; rows
// of query and result at multiples of 16 bytes; a workspace of `max_tiles` tiles.
bool launch_expanded_sm90(const MlaAttentionCall& call, const Fp8RowsOut& fp8, int max_tiles,
                          gpuStream_t stream);

class OpRegistry;
void add_mla_attention_sm90(OpRegistry& registry);

}  // namespace musaic
