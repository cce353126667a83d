#include "ops/add/add_gpu.h"

#include "backends/gpu/gpu_stream.h"
#include "backends/gpu/kernel_call.h"
#include "ir/registry.h"
#include "ops/add/add.h"
#include "ops/row_queries.h"

namespace musaic {
namespace {

void run_add(const KernelCall& call) {
  GpuStream& stream = gpu_stream(call.stream);
  launch_add(device_rows(call.inputs[0]), device_rows(call.inputs[1]), device_rows(call.outputs[0]),
             call.live_rows, stream.handle());
  stream.check_launch();
}

}  // namespace

void add_add_gpu(OpRegistry& registry) {
  registry.add_kernel(
      "aten::add",
      {.name = "add_gpu", .device_type = kGpuDeviceType, .supports = is_binary_of_rows, .run = run_add});
}

}  // namespace musaic
