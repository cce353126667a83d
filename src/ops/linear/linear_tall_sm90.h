#pragma once

#include "ops/linear/linear_tile_gpu.h"

namespace musaic {

// A call of few rows of a norm and a weight of many, as a head's, with the bits of launch_linear_tile. False:
// nothing was launched, since it is no such call, or x is not rounded. REQUIRES: what launch_linear_tile
// does, and compute capability 9.0.
bool launch_linear_tall_sm90(const LinearTileCall& call, gpuStream_t stream);

}  // namespace musaic
