#include "backends/gpu/gpu_stream.h"
#include "backends/gpu/kernel_call.h"
#include "device/row_invariant.h"
#include "ir/registry.h"
#include "ops/linear/linear_call_gpu.h"
#include "ops/moe_gate/gate_call_gpu.h"
#include "ops/moe_route/route_call_gpu.h"
#include "ops/norm_route_fp8/norm_route_fp8_sm90.h"
#include "ops/per_token_group_quant/fp8_rows_call_gpu.h"

namespace musaic {
namespace {

enum Input { kX, kResidual, kNormWeight, kRouter };
enum Output { kQ, kScales, kWeights, kGroups };

// Chosen experts.
Dim workspace_bytes(const KernelQuery& query) {
  const Meta& weights = *query.outputs[kWeights];
  return weights.dim(0) * (weights.dim(1).constant() * static_cast<int64_t>(sizeof(int32_t)));
}

NormRouteCall norm_route_call(const KernelCall& call) {
  const DeviceRows x = device_rows(call.inputs[kX]);
  const int64_t experts = call.inputs[kRouter].shape[0];
  auto* chosen = call.workspace.as<int32_t>();
  NormRouteCall work;
  work.norm = {.x = x,
               .residual = device_rows(call.inputs[kResidual]),
               .weight = call.inputs[kNormWeight].data,
               .weight_dtype = call.inputs[kNormWeight].dtype,
               .eps = static_cast<float>(call.attributes.get_float("eps")),
               .live_rows = call.live_rows};
  work.out = fp8_rows_out(call);
  const DeviceRows logits = {.outer = x.outer, .outer_stride = experts, .width = experts};
  work.router = {.x = x,
                 .y = logits,
                 .weight = call.inputs[kRouter].as<const uint8_t>(),
                 .weight_dtype = DType::kBF16,
                 .weight_row_bytes = x.width * static_cast<int64_t>(sizeof(uint16_t)),
                 .live_rows = call.live_rows};
  work.gate = moe_gate_call(call, logits, call.outputs[kWeights]);
  work.gate.experts = chosen;
  work.route = moe_route_call(call, call.outputs.subspan(kGroups));
  work.route.experts = chosen;
  return work;
}

void run_norm_route(const KernelCall& call) {
  GpuStream& stream = gpu_stream(call.stream);
  launch_norm_route_fp8_sm90(norm_route_call(call), stream.handle());
  stream.check_launch();
}

bool is_multiple(const Dim& dim, int64_t of, int64_t most) {
  return dim.is_constant() && dim.constant() % of == 0 && dim.constant() <= most;
}

// Few rows have other bits than many.
bool supports(const KernelQuery& query) {
  const Meta& router = *query.inputs[kRouter];
  return query.capabilities.has("sm_90") && !query.capabilities.has(kRowInvariant) &&
         has_choices_for_a_warp(query) && is_multiple(router.dim(0), 1, kMaxNormRouteExperts) &&
         is_multiple(router.dim(1), 128, kMaxNormRouteWidth);
}

}  // namespace

void add_norm_route_fp8_sm90(OpRegistry& registry) {
  registry.add_kernel("musaic::add_norm_route_fp8", {.name = "add_norm_route_fp8_sm90",
                                                     .device_type = kGpuDeviceType,
                                                     .supports = supports,
                                                     .run = run_norm_route,
                                                     .workspace_bytes = workspace_bytes});
}

}  // namespace musaic
