#pragma once

#include "ops/linear/linear_gpu.h"

namespace musaic {

// A call with a bf16 weight by Hopper's matrix units, which suits many rows; its bits are not those of the
// other kernels. False: nothing was launched, since the rows are few or lie at odd addresses. REQUIRES:
// compute capability 9.0; k a multiple of 8, n one of 4.
bool launch_linear_sm90(const LinearCall& call, gpuStream_t stream);

class OpRegistry;
void add_linear_sm90(OpRegistry& registry);

}  // namespace musaic
