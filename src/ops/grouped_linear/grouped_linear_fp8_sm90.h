#pragma once

#include "ops/grouped_linear/grouped_linear_gpu.h"

namespace musaic {

inline constexpr int64_t kMaxSm90Experts = 256;

// A call by Hopper's matrix units; its bits are those of launch_linear_fp8_sm90. False: nothing was launched,
// since the driver cannot map the weight. REQUIRES: compute capability 9.0, at most 256
// experts, k a multiple of 128, n / parts one of 4, a weight at a multiple of 16.
bool launch_grouped_linear_fp8_sm90(const GroupedLinearFp8Call& call, gpuStream_t stream);

class OpRegistry;
void add_grouped_linear_fp8_sm90(OpRegistry& registry);

}  // namespace musaic
