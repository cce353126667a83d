#include "ops/moe_route/moe_route_gpu.h"

#include "backends/gpu/gpu_stream.h"
#include "ir/registry.h"
#include "ops/moe_route/moe_route.h"

namespace musaic {
namespace {

void run_moe_route(const KernelCall& call) {
  const Tensor& experts = call.inputs[0];
  GpuStream& stream = gpu_stream(call.stream);
  launch_moe_route({.experts = experts.as<const int32_t>(),
                    .tokens = experts.shape[0],
                    .top_k = static_cast<int>(experts.shape[1]),
                    .num_experts = static_cast<int>(call.attributes.get_int("num_experts")),
                    .alignment = static_cast<int>(start_alignment(call.attributes)),
                    .row_token = call.outputs[0].as<int32_t>(),
                    .token_row = call.outputs[1].as<int32_t>(),
                    .start = call.outputs[2].as<int32_t>(),
                    .count = call.outputs[3].as<int32_t>(),
                    .live_rows = call.live_rows},
                   stream.handle());
  stream.check_launch();
}

}  // namespace

void add_moe_route_gpu(OpRegistry& registry) {
  registry.add_kernel("musaic::moe_route",
                      {.name = "moe_route_gpu", .device_type = kGpuDeviceType, .run = run_moe_route});
}

}  // namespace musaic
