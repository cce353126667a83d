#include "ops/moe_gate/moe_gate_gpu.h"

#include "backends/gpu/gpu_stream.h"
#include "backends/gpu/kernel_call.h"
#include "ir/registry.h"
#include "ops/moe_gate/gate_call_gpu.h"
#include "ops/moe_gate/moe_gate.h"

namespace musaic {

bool has_choices_for_a_warp(const KernelQuery& query) {
  return query.attributes.get_int("top_k") <= kWarpSize;
}

MoeGateCall moe_gate_call(const KernelCall& call, const DeviceRows& logits, const Tensor& weights) {
  const Attributes& attributes = call.attributes;
  return {.logits = logits,
          .weights = weights.as<float>(),
          .top_k = static_cast<int>(attributes.get_int("top_k")),
          .num_groups = static_cast<int>(attributes.get_int("num_groups")),
          .top_groups = static_cast<int>(attributes.get_int("top_groups")),
          .renormalize = attributes.get_bool("renormalize"),
          .scale = static_cast<float>(attributes.get_float("scale")),
          .live_rows = call.live_rows};
}

MoeGateCall moe_gate_call(const KernelCall& call) {
  return moe_gate_call(call, device_rows(call.inputs[0]), call.outputs[0]);
}

namespace {

void run_moe_gate(const KernelCall& call) {
  MoeGateCall work = moe_gate_call(call);
  work.experts = call.outputs[1].as<int32_t>();
  GpuStream& stream = gpu_stream(call.stream);
  launch_moe_gate(work, stream.handle());
  stream.check_launch();
}

}  // namespace

void add_moe_gate_gpu(OpRegistry& registry) {
  registry.add_kernel("musaic::moe_gate", {.name = "moe_gate_gpu",
                                           .device_type = kGpuDeviceType,
                                           .supports = has_choices_for_a_warp,
                                           .run = run_moe_gate});
}

}  // namespace musaic
