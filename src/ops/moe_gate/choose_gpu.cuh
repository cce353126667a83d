#pragma once

#include <climits>
#include <cmath>

#include "backends/gpu/device_math.cuh"
#include "gpu_warp_max.cuh"
#include "ops/moe_gate/moe_gate_gpu.h"

// The choice of one token's experts by one warp: lane l holds the logits of experts l, l + 32, ...
namespace musaic {

inline constexpr int kMaxLaneExperts = 32;  // 1,024 experts

struct Candidate {
  float value;
  int index;  // INT_MAX: nobody
};

// The largest value that `open` offers and the first number that has it, in every lane. Value j of the lane
// is number lane + 32 · j; bit j of `open` says that it may be taken.
template <int N>
__device__ Candidate find_best(const float (&values)[N], unsigned open) {
  float mine = -INFINITY;
#pragma unroll
  for (int j = 0; j < N; ++j) {
    if (open >> j & 1) mine = fmaxf(mine, values[j]);
  }
  Candidate best = {warp_max(mine), INT_MAX};
#pragma unroll
  for (int j = N - 1; j >= 0; --j) {
    // A value that is no number is not equal to itself, but may have to be taken.
    const unsigned lanes = __ballot_sync(0xffffffffu, (open >> j & 1) && !(values[j] < best.value));
    if (lanes != 0) best.index = __ffs(static_cast<int>(lanes)) - 1 + kWarpSize * j;
  }
  return best;
}

// The same, and closes it.
template <int N>
__device__ Candidate take_best(const float (&values)[N], unsigned& open) {
  const Candidate best = find_best(values, open);
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  if (best.index % kWarpSize == lane) open &= ~(1u << best.index / kWarpSize);
  return best;
}

// The bits of the lane's numbers below `count`.
template <int N>
__device__ unsigned lane_bits(int count) {
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  unsigned bits = 0;
#pragma unroll
  for (int j = 0; j < N; ++j) {
    if (lane + kWarpSize * j < count) bits |= 1u << j;
  }
  return bits;
}

// Closes the experts outside the groups whose best expert is best.
template <int N>
__device__ void close_groups(const MoeGateCall& call, const float (&logits)[N], unsigned& open) {
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  const int size = static_cast<int>(call.logits.width) / call.num_groups;
  float best[N] = {};  // of groups, which lie over the lanes as experts do
#pragma unroll 1
  for (int group = 0; group < call.num_groups; ++group) {
    unsigned of_group = 0;
#pragma unroll
    for (int j = 0; j < N; ++j) {
      if ((lane + kWarpSize * j) / size == group) of_group |= 1u << j;
    }
    const float value = find_best(logits, open & of_group).value;
#pragma unroll
    for (int j = 0; j < N; ++j) {
      if (lane + kWarpSize * j == group) best[j] = value;
    }
  }
  const unsigned all = lane_bits<N>(call.num_groups);
  unsigned left = all;
#pragma unroll 1
  for (int i = 0; i < call.top_groups; ++i) take_best(best, left);
  const unsigned chosen = all & ~left;
#pragma unroll
  for (int j = 0; j < N; ++j) {
    const int index = lane + kWarpSize * j;
    const int group = index < call.logits.width ? index / size : 0;
    const unsigned bits = __shfl_sync(0xffffffffu, chosen, group % kWarpSize);
    if (!(bits >> group / kWarpSize & 1)) open &= ~(1u << j);
  }
}

// The sum of exp(logit - largest) over the experts `all`, in every lane.
template <int N>
__device__ float softmax_sum(const float (&logits)[N], unsigned all, float& largest) {
  largest = all & 1 ? logits[0] : -INFINITY;
#pragma unroll
  for (int j = 1; j < N; ++j) {
    if (all >> j & 1) largest = fmaxf(largest, logits[j]);
  }
  largest = warp_max(largest);
  float sum = 0.0f;
#pragma unroll
  for (int j = 0; j < N; ++j) {
    if (all >> j & 1) sum += expf(logits[j] - largest);
  }
  return warp_sum(sum);
}

// Chooses by the logits of `token`, stores weights and experts, and returns the k-th choice in lane k.
// REQUIRES: whole warps; experts <= 32 · N; top_k <= 32.
template <int N>
__device__ int choose_by_logits(const MoeGateCall& call, int64_t token, const float (&logits)[N]) {
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  const unsigned all = lane_bits<N>(static_cast<int>(call.logits.width));
  unsigned open = all;
  if (call.top_groups < call.num_groups) close_groups(call, logits, open);
  float largest;
  const float sum = softmax_sum(logits, all, largest);

  Candidate mine = {0.0f, 0};
#pragma unroll 1
  for (int k = 0; k < call.top_k; ++k) {
    const Candidate best = take_best(logits, open);
    if (k == lane) mine = best;
  }
  const float score = __fdiv_rn(expf(mine.value - largest), sum);
  float factor = call.scale;
  if (call.renormalize) {
    float chosen = 0.0f;
#pragma unroll 1
    for (int k = 0; k < call.top_k; ++k) chosen += __shfl_sync(0xffffffffu, score, k);
    factor = __fdiv_rn(call.scale, chosen);
  }
  if (lane >= call.top_k) return 0;
  call.weights[token * call.top_k + lane] = score * factor;
  call.experts[token * call.top_k + lane] = mine.index;
  return mine.index;
}

// The same by the call's logits.
template <int N>
__device__ int choose_experts(const MoeGateCall& call, int64_t token) {
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  const float* row = static_cast<const float*>(call.logits.data) + token * call.logits.outer_stride;
  float logits[N] = {};
#pragma unroll
  for (int j = 0; j < N; ++j) {
    if (lane + kWarpSize * j < call.logits.width) logits[j] = row[lane + kWarpSize * j];
  }
  return choose_by_logits(call, token, logits);
}

// Calls use with an integral_constant of the values that a lane holds of `experts`.
template <class Use>
void with_lane_experts(int64_t experts, Use use) {
  if (experts <= 2 * kWarpSize) return use(std::integral_constant<int, 2>());
  if (experts <= 8 * kWarpSize) return use(std::integral_constant<int, 8>());
  use(std::integral_constant<int, kMaxLaneExperts>());
}

}  // namespace musaic
