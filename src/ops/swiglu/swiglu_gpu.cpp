#include "ops/swiglu/swiglu_gpu.h"

#include "backends/gpu/gpu_stream.h"
#include "backends/gpu/kernel_call.h"
#include "ir/registry.h"
#include "ops/row_queries.h"
#include "ops/swiglu/swiglu.h"

namespace musaic {
namespace {

void run_silu(const KernelCall& call) {
  GpuStream& stream = gpu_stream(call.stream);
  launch_silu(device_rows(call.inputs[0]), device_rows(call.outputs[0]), call.live_rows, stream.handle());
  stream.check_launch();
}

void run_mul(const KernelCall& call) {
  GpuStream& stream = gpu_stream(call.stream);
  launch_mul(device_rows(call.inputs[0]), device_rows(call.inputs[1]), device_rows(call.outputs[0]),
             call.live_rows, stream.handle());
  stream.check_launch();
}

void run_fused_swiglu(const KernelCall& call) {
  GpuStream& stream = gpu_stream(call.stream);
  launch_swiglu(device_rows(call.inputs[0]), device_rows(call.outputs[0]), call.live_rows, stream.handle());
  stream.check_launch();
}

}  // namespace

void add_swiglu_gpu(OpRegistry& registry) {
  registry.add_kernel(
      "aten::silu",
      {.name = "silu_gpu", .device_type = kGpuDeviceType, .supports = first_is_rows, .run = run_silu});
  registry.add_kernel(
      "aten::mul",
      {.name = "mul_gpu", .device_type = kGpuDeviceType, .supports = is_binary_of_rows, .run = run_mul});
  registry.add_kernel("aten::_fused_swiglu_forward", {.name = "fused_swiglu_gpu",
                                                      .device_type = kGpuDeviceType,
                                                      .supports = first_is_rows,
                                                      .run = run_fused_swiglu});
}

}  // namespace musaic
