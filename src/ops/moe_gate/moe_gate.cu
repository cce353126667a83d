#include "gpu_launch.cuh"
#include "ops/moe_gate/choose_gpu.cuh"

namespace musaic {
namespace {

constexpr int kTokensOfBlock = 4;  // a warp each

template <int N>
__global__ void gate_tokens(MoeGateCall call) {
  wait_for_previous_kernel();
  const int64_t token = static_cast<int64_t>(blockIdx.x) * kTokensOfBlock + threadIdx.x / kWarpSize;
  if (token >= live_count(call.live_rows, call.logits.outer)) return;  // whole warps
  choose_experts<N>(call, token);
}

}  // namespace

void launch_moe_gate(const MoeGateCall& call, gpuStream_t stream) {
  const dim3 grid(static_cast<unsigned>((call.logits.outer + kTokensOfBlock - 1) / kTokensOfBlock));
  with_lane_experts(call.logits.width, [&](auto lane_experts) {
    launch_kernel(gate_tokens<decltype(lane_experts)::value>, grid, dim3(kTokensOfBlock * kWarpSize), stream,
                  call);
  });
}

}  // namespace musaic
