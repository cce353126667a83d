#include "ops/moe_combine/moe_combine_gpu.h"

#include "backends/gpu/gpu_stream.h"
#include "backends/gpu/kernel_call.h"
#include "ir/registry.h"
#include "ops/moe_combine/moe_combine.h"

namespace musaic {
namespace {

void run_moe_combine(const KernelCall& call) {
  GpuStream& stream = gpu_stream(call.stream);
  launch_moe_combine({.x = device_rows(call.inputs[0]),
                      .addend = device_rows(call.inputs[3]),
                      .y = device_rows(call.outputs[0]),
                      .token_row = call.inputs[1].as<const int32_t>(),
                      .weights = call.inputs[2].as<const float>(),
                      .top_k = static_cast<int>(call.inputs[1].shape[1]),
                      .live_rows = call.live_rows},
                     stream.handle());
  stream.check_launch();
}

}  // namespace

void add_moe_combine_gpu(OpRegistry& registry) {
  registry.add_kernel("musaic::moe_combine",
                      {.name = "moe_combine_gpu", .device_type = kGpuDeviceType, .run = run_moe_combine});
}

}  // namespace musaic
