#include "ops/linear_fp8/linear_fp8_gpu.h"

#include "backends/gpu/gpu_stream.h"
#include "backends/gpu/kernel_call.h"
#include "ir/registry.h"
#include "ops/linear_fp8/linear_fp8.h"

namespace musaic {
namespace {

void run_linear_fp8(const KernelCall& call) {
  const Tensor& q = call.inputs[0];
  const Tensor& weight = call.inputs[2];
  const bool has_bias = call.inputs.size() > 4 && call.inputs[4].defined();
  GpuStream& stream = gpu_stream(call.stream);
  launch_linear_fp8({.q = q.as<const uint8_t>(),
                     .scale = call.inputs[1].as<const float>(),
                     .weight = weight.as<const uint8_t>(),
                     .weight_scale = call.inputs[3].as<const float>(),
                     .bias = has_bias ? call.inputs[4].data : nullptr,
                     .bias_dtype = has_bias ? call.inputs[4].dtype : DType::kF32,
                     .y = call.outputs[0].as<float>(),
                     .rows = q.shape[0],
                     .n = weight.shape[0],
                     .k = weight.shape[1],
                     .live_rows = call.live_rows},
                    stream.handle());
  stream.check_launch();
}

}  // namespace

void add_linear_fp8_gpu(OpRegistry& registry) {
  registry.add_kernel("musaic::linear_fp8",
                      {.name = "linear_fp8_gpu", .device_type = kGpuDeviceType, .run = run_linear_fp8});
}

}  // namespace musaic
