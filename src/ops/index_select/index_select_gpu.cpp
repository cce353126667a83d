#include "ops/index_select/index_select_gpu.h"

#include "backends/gpu/gpu_stream.h"
#include "backends/gpu/kernel_call.h"
#include "ir/registry.h"
#include "ops/index_select/index_select.h"

namespace musaic {
namespace {

void run_index_select(const KernelCall& call) {
  GpuStream& stream = gpu_stream(call.stream);
  launch_index_select(device_rows(call.inputs[0]), call.inputs[1].as<const int32_t>(),
                      device_rows(call.outputs[0]), call.live_rows, stream.handle());
  stream.check_launch();
}

}  // namespace

void add_index_select_gpu(OpRegistry& registry) {
  registry.add_kernel("aten::index_select",
                      {.name = "index_select_gpu", .device_type = kGpuDeviceType, .run = run_index_select});
}

}  // namespace musaic
