#include "ops/rms_norm/rms_norm_gpu.h"

#include "backends/gpu/gpu_stream.h"
#include "backends/gpu/kernel_call.h"
#include "ir/registry.h"
#include "ops/rms_norm/rms_norm.h"

namespace musaic {
namespace {

bool supports_rows(const KernelQuery& query) {
  return query.inputs[0]->rank() == 2 || query.inputs[0]->rank() == 3;
}

void launch(const KernelCall& call, const RmsNormCall& norm) {
  GpuStream& stream = gpu_stream(call.stream);
  launch_rms_norm(norm, stream.handle());
  stream.check_launch();
}

void run_rms_norm(const KernelCall& call) {
  launch(call, {.x = device_rows(call.inputs[0]),
                .y = device_rows(call.outputs[0]),
                .weight = call.inputs[1].data,
                .weight_dtype = call.inputs[1].dtype,
                .eps = static_cast<float>(call.attributes.get_float("eps")),
                .live_rows = call.live_rows});
}

void run_fused(const KernelCall& call) {
  const DeviceRows x = device_rows(call.inputs[0]);
  launch(call, {.x = x,
                .residual = device_rows(call.inputs[1]),
                .extra = device_rows(call.inputs[3]),
                .y = x,
                .weight = call.inputs[2].data,
                .weight_dtype = call.inputs[2].dtype,
                .eps = static_cast<float>(call.attributes.get_float("eps")),
                .live_rows = call.live_rows});
}

}  // namespace

void add_rms_norm_gpu(OpRegistry& registry) {
  registry.add_kernel("aten::rms_norm", {.name = "rms_norm_gpu",
                                         .device_type = kGpuDeviceType,
                                         .supports = supports_rows,
                                         .run = run_rms_norm});
  registry.add_kernel("sgl_kernel::fused_add_rmsnorm", {.name = "fused_add_rmsnorm_gpu",
                                                        .device_type = kGpuDeviceType,
                                                        .supports = supports_rows,
                                                        .run = run_fused});
}

}  // namespace musaic
