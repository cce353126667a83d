#include "ops/norm_quant_fp8/norm_quant_fp8_gpu.h"

#include "backends/gpu/gpu_stream.h"
#include "backends/gpu/kernel_call.h"
#include "ir/registry.h"
#include "ops/norm_quant_fp8/norm_quant_fp8.h"
#include "ops/per_token_group_quant/fp8_rows_call_gpu.h"

namespace musaic {
namespace {

void run_add_norm_quant(const KernelCall& call) {
  const DeviceRows x = device_rows(call.inputs[0]);
  GpuStream& stream = gpu_stream(call.stream);
  launch_norm_quant_fp8({.x = x,
                         .residual = device_rows(call.inputs[1]),
                         .y = x,
                         .weight = call.inputs[2].data,
                         .weight_dtype = call.inputs[2].dtype,
                         .eps = static_cast<float>(call.attributes.get_float("eps")),
                         .live_rows = call.live_rows},
                        fp8_rows_out(call), stream.handle());
  stream.check_launch();
}

}  // namespace

void add_norm_quant_fp8_gpu(OpRegistry& registry) {
  registry.add_kernel(
      "musaic::add_rms_norm_quant_fp8",
      {.name = "add_rms_norm_quant_fp8_gpu", .device_type = kGpuDeviceType, .run = run_add_norm_quant});
}

}  // namespace musaic
