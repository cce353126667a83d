#include "ops/grouped_linear/grouped_linear_gpu.h"

#include "backends/gpu/gpu_stream.h"
#include "backends/gpu/kernel_call.h"
#include "ir/registry.h"
#include "ops/grouped_linear/grouped_linear.h"
#include "ops/grouped_linear/grouped_linear_fp8_call_gpu.h"

namespace musaic {
namespace {

void run_grouped_linear(const KernelCall& call) {
  const auto in = call.inputs;
  GpuStream& stream = gpu_stream(call.stream);
  launch_grouped_linear({.x = in[0].as<const float>(),
                         .x_stride = in[0].strides[0],
                         .row_token = in[1].as<const int32_t>(),
                         .start = in[2].as<const int32_t>(),
                         .count = in[3].as<const int32_t>(),
                         .num_experts = in[3].shape[0],
                         .weight = in[4].as<const uint8_t>(),
                         .weight_dtype = in[4].dtype,
                         .y = call.outputs[0].as<float>(),
                         .rows = call.outputs[0].shape[0],
                         .tokens = in[0].shape[0],
                         .n = in[4].shape[1],
                         .k = in[4].shape[2]},
                        stream.handle());
  stream.check_launch();
}

void run_grouped_linear_fp8(const KernelCall& call) {
  GpuStream& stream = gpu_stream(call.stream);
  launch_grouped_linear_fp8(grouped_linear_fp8_call(call), stream.handle());
  stream.check_launch();
}

}  // namespace

void add_grouped_linear_gpu(OpRegistry& registry) {
  registry.add_kernel(
      "musaic::grouped_linear",
      {.name = "grouped_linear_gpu", .device_type = kGpuDeviceType, .run = run_grouped_linear});
  registry.add_kernel(
      "musaic::grouped_linear_fp8",
      {.name = "grouped_linear_fp8_gpu", .device_type = kGpuDeviceType, .run = run_grouped_linear_fp8});
}

}  // namespace musaic
