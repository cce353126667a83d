#pragma once

#include <cstdint>

#include "gpu_vendor.h"

namespace musaic {

// One call of musaic::moe_route.
struct MoeRouteCall {
  const int32_t* experts = nullptr;  // [tokens, top_k]
  int64_t tokens = 0;
  int top_k = 0;
  int num_experts = 0;
  int alignment = 1;  // of a start; 0: expert e's rows begin at e · tokens
  int32_t* row_token = nullptr;
  int32_t* token_row = nullptr;
  int32_t* start = nullptr;
  int32_t* count = nullptr;
  const int32_t* live_rows = nullptr;
};

void launch_moe_route(const MoeRouteCall& call, gpuStream_t stream);

}  // namespace musaic
