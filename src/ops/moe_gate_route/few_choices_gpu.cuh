#pragma once

#include "ops/moe_route/route_gpu.cuh"

namespace musaic {

// The choices of up to 32 tokens, which one block groups: the tokens that chose an expert are bits of a word.
// In shared memory. Between any two of its calls the threads of the block meet.
struct FewChoices {
  unsigned chosen[kMaxRoutedExperts];
  int start[kMaxRoutedExperts];

  // By every thread of the block.
  __device__ void clear(int num_experts) {
#pragma unroll 1
    for (int e = static_cast<int>(threadIdx.x); e < num_experts; e += static_cast<int>(blockDim.x))
      chosen[e] = 0;
  }
  __device__ void note(int token, int expert) {
    atomicOr(&chosen[expert], 1u << token);
  }
  // By one whole warp.
  __device__ void place(const MoeRouteCall& route) {
    place_experts(route, /*stores=*/true, start, [&](int e) { return __popc(chosen[e]); });
  }
  // The token's choice number `index`.
  __device__ void store(const MoeRouteCall& route, int token, int index, int expert) const {
    const int before = __popc(chosen[expert] & ((1u << token) - 1));
    store_row(route, int64_t{token} * route.top_k + index, token, start[expert] + before);
  }
};

}  // namespace musaic
