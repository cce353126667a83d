#pragma once

#include <span>

#include "ir/op.h"
#include "ops/moe_route/moe_route_gpu.h"

namespace musaic {

// A call's routing without its choices; `groups`: row_token, token_row, start and count.
MoeRouteCall moe_route_call(const KernelCall& call, std::span<const Tensor> groups);

}  // namespace musaic
