#pragma once

#include "backends/gpu/device_math.cuh"
#include "ops/moe_route/moe_route_gpu.h"

namespace musaic {

inline constexpr int kMaxRoutedExperts = 1024;

// Where every expert's rows begin, into `start` (shared) and, where the block `stores`, into the call's start
// and count. count_of(expert) is asked once an expert. REQUIRES: one whole warp calls it.
template <class CountOf>
__device__ void place_experts(const MoeRouteCall& call, bool stores, int* start, CountOf count_of) {
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  int next = 0;
#pragma unroll 1
  for (int base = 0; base < call.num_experts; base += kWarpSize) {
    const int expert = base + lane;
    const int count = expert < call.num_experts ? count_of(expert) : 0;
    const int rows = call.alignment == 0 ? 0 : (count + call.alignment - 1) / call.alignment * call.alignment;
    int end = rows;
    for (int distance = 1; distance < kWarpSize; distance *= 2) {
      const int before = __shfl_up_sync(0xffffffffu, end, distance);
      if (lane >= distance) end += before;
    }
    if (expert < call.num_experts) {
      const int first = call.alignment == 0 ? expert * static_cast<int>(call.tokens) : next + end - rows;
      start[expert] = first;
      if (stores) {
        call.start[expert] = first;
        call.count[expert] = count;
      }
    }
    next += __shfl_sync(0xffffffffu, end, kWarpSize - 1);
  }
}

// Notes that the choice of `token` has the grouped row `row`.
__device__ inline void store_row(const MoeRouteCall& call, int64_t choice, int64_t token, int row) {
  call.row_token[row] = static_cast<int32_t>(token);
  call.token_row[choice] = row;
}

}  // namespace musaic
