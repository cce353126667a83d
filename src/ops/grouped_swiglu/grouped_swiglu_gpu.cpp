#include "ops/grouped_swiglu/grouped_swiglu_gpu.h"

#include "backends/gpu/gpu_stream.h"
#include "backends/gpu/kernel_call.h"
#include "ir/registry.h"
#include "ops/grouped_swiglu/grouped_swiglu.h"

namespace musaic {
namespace {

GroupedSwigluCall call_of(const KernelCall& call) {
  return {.x = device_rows(call.inputs[0]),
          .start = call.inputs[1].as<const int32_t>(),
          .count = call.inputs[2].as<const int32_t>(),
          .num_experts = static_cast<int>(call.inputs[2].shape[0]),
          .width = call.outputs[0].shape[1]};
}

void run_grouped_swiglu(const KernelCall& call) {
  GroupedSwigluCall work = call_of(call);
  work.y = call.outputs[0].as<float>();
  GpuStream& stream = gpu_stream(call.stream);
  launch_grouped_swiglu(work, stream.handle());
  stream.check_launch();
}

void run_grouped_swiglu_quant(const KernelCall& call) {
  GroupedSwigluCall work = call_of(call);
  work.q = call.outputs[0].as<uint8_t>();
  work.scale = call.outputs[1].as<float>();
  GpuStream& stream = gpu_stream(call.stream);
  launch_grouped_swiglu_quant(work, stream.handle());
  stream.check_launch();
}

}  // namespace

void add_grouped_swiglu_gpu(OpRegistry& registry) {
  registry.add_kernel(
      "musaic::grouped_swiglu",
      {.name = "grouped_swiglu_gpu", .device_type = kGpuDeviceType, .run = run_grouped_swiglu});
  registry.add_kernel("musaic::grouped_swiglu_quant_fp8", {.name = "grouped_swiglu_quant_fp8_gpu",
                                                           .device_type = kGpuDeviceType,
                                                           .run = run_grouped_swiglu_quant});
}

}  // namespace musaic
