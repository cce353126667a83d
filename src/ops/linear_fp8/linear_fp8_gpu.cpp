#include "ops/linear_fp8/linear_fp8_gpu.h"

#include "backends/gpu/gpu_stream.h"
#include "backends/gpu/kernel_call.h"
#include "ir/registry.h"
#include "ops/linear_fp8/linear_fp8.h"
#include "ops/linear_fp8/linear_fp8_call_gpu.h"

namespace musaic {
namespace {

void run_linear_fp8(const KernelCall& call) {
  GpuStream& stream = gpu_stream(call.stream);
  launch_linear_fp8(linear_fp8_call(call), stream.handle());
  stream.check_launch();
}

}  // namespace

void add_linear_fp8_gpu(OpRegistry& registry) {
  registry.add_kernel("musaic::linear_fp8",
                      {.name = "linear_fp8_gpu", .device_type = kGpuDeviceType, .run = run_linear_fp8});
}

}  // namespace musaic
