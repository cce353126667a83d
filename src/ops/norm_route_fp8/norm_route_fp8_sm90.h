#pragma once

#include "ops/linear/linear_gpu.h"
#include "ops/moe_gate/moe_gate_gpu.h"
#include "ops/moe_route/moe_route_gpu.h"
#include "ops/per_token_group_quant/fp8_rows_gpu.h"
#include "ops/rms_norm/rms_norm_gpu.h"

namespace musaic {

// One call of musaic::add_norm_route_fp8.
struct NormRouteCall {
  RmsNormCall norm;  // its y is not written
  Fp8RowsOut out;
  LinearCall router;   // of the normed rows; neither these nor its y, the gate's logits, are stored
  MoeGateCall gate;    // its experts are workspace
  MoeRouteCall route;  // reads the gate's experts
};

inline constexpr int64_t kMaxNormRouteWidth = 2048;
inline constexpr int64_t kMaxNormRouteExperts = 64;

// One launch for few tokens, else one more that groups them. REQUIRES: compute capability 9.0; rows of
// multiples of 128 values, as wide as above at most; a bf16 router of as many experts as above at most, at a
// multiple of 16 bytes.
void launch_norm_route_fp8_sm90(const NormRouteCall& call, gpuStream_t stream);

class OpRegistry;
void add_norm_route_fp8_sm90(OpRegistry& registry);

}  // namespace musaic
