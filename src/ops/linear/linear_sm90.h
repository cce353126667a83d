#pragma once

#include "ops/linear/linear_tile_gpu.h"

namespace musaic {

// The same by Hopper's matrix units, which suits many rows; a row's bits are not those of launch_linear_tile,
// but depend on no other row either. False: nothing was launched, since the rows are few or lie at odd
// addresses. REQUIRES: also compute capability 9.0.
bool launch_linear_sm90(const LinearTileCall& call, gpuStream_t stream);

// Shorter rows are never rounded ahead (LinearTileCall::rounded), which takes as long as their products.
inline constexpr int64_t kFewestRoundedValues = 2048;

class OpRegistry;
// aten::linear and the fused linears with bf16 weights, of any number of rows.
void add_linear_sm90(OpRegistry& registry);

}  // namespace musaic
