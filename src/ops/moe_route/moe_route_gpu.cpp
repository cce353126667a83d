#include "ops/moe_route/moe_route_gpu.h"

#include "backends/gpu/gpu_stream.h"
#include "ir/registry.h"
#include "ops/moe_route/moe_route.h"
#include "ops/moe_route/route_call_gpu.h"

namespace musaic {

MoeRouteCall moe_route_call(const KernelCall& call, std::span<const Tensor> groups) {
  const Shape& choices = groups[1].shape;
  return {.tokens = choices[0],
          .top_k = static_cast<int>(choices[1]),
          .num_experts = static_cast<int>(groups[2].shape[0]),
          .alignment = static_cast<int>(start_alignment(call.attributes)),
          .row_token = groups[0].as<int32_t>(),
          .token_row = groups[1].as<int32_t>(),
          .start = groups[2].as<int32_t>(),
          .count = groups[3].as<int32_t>(),
          .live_rows = call.live_rows};
}

namespace {

void run_moe_route(const KernelCall& call) {
  MoeRouteCall work = moe_route_call(call, call.outputs);
  work.experts = call.inputs[0].as<const int32_t>();
  GpuStream& stream = gpu_stream(call.stream);
  launch_moe_route(work, stream.handle());
  stream.check_launch();
}

}  // namespace

void add_moe_route_gpu(OpRegistry& registry) {
  registry.add_kernel("musaic::moe_route",
                      {.name = "moe_route_gpu", .device_type = kGpuDeviceType, .run = run_moe_route});
}

}  // namespace musaic
