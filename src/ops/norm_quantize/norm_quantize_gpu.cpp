#include "ops/norm_quantize/norm_quantize_gpu.h"

#include "backends/gpu/gpu_stream.h"
#include "backends/gpu/kernel_call.h"
#include "ir/registry.h"
#include "ops/norm_quantize/norm_quantize.h"
#include "ops/quantize/quantized_call_gpu.h"

namespace musaic {
namespace {

void launch(const KernelCall& call, const DeviceRows& residual, const Tensor& weight) {
  GpuStream& stream = gpu_stream(call.stream);
  launch_norm_quantize({.x = device_rows(call.inputs[0]),
                        .residual = residual,
                        .weight = weight.data,
                        .weight_dtype = weight.dtype,
                        .eps = static_cast<float>(call.attributes.get_float("eps")),
                        .live_rows = call.live_rows},
                       quantized_rows_out(call.outputs), stream.handle());
  stream.check_launch();
}

void run_norm_quantize(const KernelCall& call) {
  launch(call, {}, call.inputs[1]);
}

void run_add_norm_quantize(const KernelCall& call) {
  launch(call, device_rows(call.inputs[1]), call.inputs[2]);
}

}  // namespace

void add_norm_quantize_gpu(OpRegistry& registry) {
  registry.add_kernel(
      "musaic::rms_norm_quantize_q8",
      {.name = "rms_norm_quantize_q8_gpu", .device_type = kGpuDeviceType, .run = run_norm_quantize});
  registry.add_kernel(
      "musaic::add_rms_norm_quantize_q8",
      {.name = "add_rms_norm_quantize_q8_gpu", .device_type = kGpuDeviceType, .run = run_add_norm_quantize});
}

}  // namespace musaic
