#include "ops/linear/linear_q8_gpu.h"

#include "backends/gpu/gpu_stream.h"
#include "backends/gpu/kernel_call.h"
#include "ir/registry.h"
#include "ops/linear/linear.h"
#include "ops/linear/linear_gpu.h"

namespace musaic {
namespace {

void run_linear_q8(const KernelCall& call) {
  const Tensor& weight = call.inputs[3];
  const bool has_bias = call.inputs.size() > 4 && call.inputs[4].defined();
  GpuStream& stream = gpu_stream(call.stream);
  launch_linear_q8({.q = device_rows(call.inputs[0]),
                    .scale = device_rows(call.inputs[1]),
                    .sums = device_rows(call.inputs[2]),
                    .y = device_rows(call.outputs[0]),
                    .weight = weight.as<const uint8_t>(),
                    .weight_dtype = weight.dtype,
                    .weight_row_bytes = static_cast<int64_t>(byte_size(weight.dtype, weight.shape[1])),
                    .bias = has_bias ? call.inputs[4].data : nullptr,
                    .bias_dtype = has_bias ? call.inputs[4].dtype : DType::kF32,
                    .live_rows = call.live_rows},
                   stream.handle());
  stream.check_launch();
}

}  // namespace

void add_linear_q8_gpu(OpRegistry& registry) {
  registry.add_kernel("musaic::linear_q8",
                      {.name = "linear_q8_gpu", .device_type = kGpuDeviceType, .run = run_linear_q8});
}

}  // namespace musaic
