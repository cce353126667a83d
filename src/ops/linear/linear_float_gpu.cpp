#include "backends/gpu/gpu_stream.h"
#include "ir/registry.h"
#include "ops/linear/linear.h"
#include "ops/linear/linear_call_gpu.h"

namespace musaic {
namespace {

template <auto launch>
void run_linear(const KernelCall& call) {
  GpuStream& stream = gpu_stream(call.stream);
  launch(linear_call(call), stream.handle());
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
