#include "ops/cast/cast_gpu.h"

#include "backends/gpu/gpu_stream.h"
#include "backends/gpu/kernel_call.h"
#include "ir/registry.h"
#include "ops/cast/cast.h"

namespace musaic {
namespace {

// A vector is rows of one value.
DeviceRows rows_of(const Tensor& tensor) {
  if (tensor.shape.rank() > 1) return device_rows(tensor);
  return {tensor.data, tensor.dtype, tensor.shape[0], 1, tensor.strides[0], 0, 1};
}

void run_cast(const KernelCall& call) {
  GpuStream& stream = gpu_stream(call.stream);
  launch_cast(rows_of(call.inputs[0]), rows_of(call.outputs[0]), call.live_rows, stream.handle());
  stream.check_launch();
}

}  // namespace

void add_cast_gpu(OpRegistry& registry) {
  registry.add_kernel("musaic::cast", {.name = "cast_gpu", .device_type = kGpuDeviceType, .run = run_cast});
}

}  // namespace musaic
