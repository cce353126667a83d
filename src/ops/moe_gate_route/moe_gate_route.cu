#include "gpu_launch.cuh"
#include "ops/moe_gate/choose_gpu.cuh"
#include "ops/moe_gate_route/few_choices_gpu.cuh"
#include "ops/moe_gate_route/moe_gate_route_gpu.h"

namespace musaic {
namespace {

constexpr int kFewTokens = 16;  // a warp each, with registers for 1,024 experts

template <int N>
__global__ void __launch_bounds__(kFewTokens* kWarpSize)
    choose_and_route(MoeGateCall gate, MoeRouteCall route) {
  __shared__ FewChoices choices;
  const int64_t live_tokens = live_count(route.live_rows, route.tokens);
  wait_for_previous_kernel();
  const int thread = static_cast<int>(threadIdx.x), lane = thread % kWarpSize, token = thread / kWarpSize;
  choices.clear(route.num_experts);
  __syncthreads();
  const bool live = token < live_tokens;
  const bool chooses = live && lane < route.top_k;
  int expert = 0;
  if (live) expert = choose_experts<N>(gate, token);
  if (chooses) choices.note(token, expert);
  __syncthreads();
  if (token == 0) choices.place(route);
  __syncthreads();
  if (chooses) choices.store(route, token, lane, expert);
}

}  // namespace

void launch_moe_gate_route(const MoeGateCall& gate, const MoeRouteCall& route, gpuStream_t stream) {
  if (route.tokens > kFewTokens) {
    launch_moe_gate(gate, stream);
    launch_moe_route(route, stream);
    return;
  }
  const auto warps = static_cast<unsigned>(route.tokens > 0 ? route.tokens : 1);
  with_lane_experts(route.num_experts, [&](auto lane_experts) {
    launch_kernel(choose_and_route<decltype(lane_experts)::value>, dim3(1), dim3(warps * kWarpSize), stream,
                  gate, route);
  });
}

}  // namespace musaic
