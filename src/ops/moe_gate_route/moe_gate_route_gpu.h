#pragma once

#include "ops/moe_gate/moe_gate_gpu.h"
#include "ops/moe_route/moe_route_gpu.h"

namespace musaic {

// One call of musaic::moe_gate_route: one launch for a few tokens, else one for each. The gate's experts lie
// where the route reads its own.
void launch_moe_gate_route(const MoeGateCall& gate, const MoeRouteCall& route, gpuStream_t stream);

}  // namespace musaic
