#include "backends/gpu/gpu_stream.h"
#include "backends/gpu/kernel_call.h"
#include "ir/registry.h"
#include "ops/linear/linear.h"
#include "ops/linear/linear_gpu.h"

namespace musaic {
namespace {

template <auto launch>
void run_linear(const KernelCall& call) {
  const Tensor& weight = call.inputs[1];
  const bool has_bias = call.inputs.size() > 2 && call.inputs[2].defined();
  GpuStream& stream = gpu_stream(call.stream);
  launch({.x = device_rows(call.inputs[0]),
          .y = device_rows(call.outputs[0]),
          .weight = weight.as<const uint8_t>(),
          .weight_dtype = weight.dtype,
          .weight_row_bytes = static_cast<int64_t>(byte_size(weight.dtype, weight.shape[1])),
          .bias = has_bias ? call.inputs[2].data : nullptr,
          .bias_dtype = has_bias ? call.inputs[2].dtype : DType::kF32,
          .live_rows = call.live_rows},
         stream.handle());
  stream.check_launch();
}

bool is_multiple_of_16(const Dim& dim) {
  return dim.is_constant() && dim.constant() % 16 == 0;
}

bool supports_mma(const KernelQuery& query) {
  const Meta& weight = *query.inputs[1];
  return weight.dtype == DType::kBF16 && is_multiple_of_16(weight.dim(0)) && is_multiple_of_16(weight.dim(1));
}

}  // namespace

void add_linear_float_gpu(OpRegistry& registry) {
  registry.add_kernel("aten::linear", {.name = "linear_mma_gpu",
                                       .device_type = kGpuDeviceType,
                                       .supports = supports_mma,
                                       .run = run_linear<launch_linear_mma>});
  registry.add_kernel(
      "aten::linear",
      {.name = "linear_gpu", .device_type = kGpuDeviceType, .run = run_linear<launch_linear>});
}

}  // namespace musaic
