#include "ops/moe_gate_route/moe_gate_route_gpu.h"

#include "backends/gpu/gpu_stream.h"
#include "ir/registry.h"
#include "ops/moe_gate/gate_call_gpu.h"
#include "ops/moe_gate_route/moe_gate_route.h"
#include "ops/moe_route/route_call_gpu.h"

namespace musaic {
namespace {

Dim choice_bytes(const KernelQuery& query) {
  return elements(query.outputs[0]->shape) * static_cast<int64_t>(sizeof(int32_t));
}

void run_moe_gate_route(const KernelCall& call) {
  MoeGateCall gate = moe_gate_call(call);
  MoeRouteCall route = moe_route_call(call, call.outputs.subspan(1));
  gate.experts = call.workspace.as<int32_t>();
  route.experts = gate.experts;
  GpuStream& stream = gpu_stream(call.stream);
  launch_moe_gate_route(gate, route, stream.handle());
  stream.check_launch();
}

}  // namespace

void add_moe_gate_route_gpu(OpRegistry& registry) {
  registry.add_kernel("musaic::moe_gate_route", {.name = "moe_gate_route_gpu",
                                                 .device_type = kGpuDeviceType,
                                                 .supports = has_choices_for_a_warp,
                                                 .run = run_moe_gate_route,
                                                 .workspace_bytes = choice_bytes});
}

}  // namespace musaic
