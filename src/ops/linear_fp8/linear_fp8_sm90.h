#pragma once

#include "ops/linear_fp8/linear_fp8_gpu.h"

namespace musaic {

inline constexpr int64_t kLinearFp8Sm90Rows = 33;  // fewer are done sooner by launch_linear_fp8

// A call by Hopper's matrix units, which suits many rows; its bits are not those of launch_linear_fp8. False:
// nothing was launched, since the driver cannot map the weight. REQUIRES: compute capability 9.0, k a
// multiple of 128, n one of 4, a weight at a multiple of 16.
bool launch_linear_fp8_sm90(const LinearFp8Call& call, gpuStream_t stream);

class OpRegistry;
void add_linear_fp8_sm90(OpRegistry& registry);

}  // namespace musaic
