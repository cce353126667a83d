#include "ops/swiglu_quantize/swiglu_quantize_gpu.h"

#include "backends/gpu/gpu_stream.h"
#include "backends/gpu/kernel_call.h"
#include "ir/registry.h"
#include "ops/quantize/quantized_call_gpu.h"
#include "ops/swiglu_quantize/swiglu_quantize.h"

namespace musaic {
namespace {

void run_swiglu_quantize(const KernelCall& call) {
  GpuStream& stream = gpu_stream(call.stream);
  launch_swiglu_quantize(device_rows(call.inputs[0]), quantized_rows_out(call.outputs), call.live_rows,
                         stream.handle());
  stream.check_launch();
}

}  // namespace

void add_swiglu_quantize_gpu(OpRegistry& registry) {
  registry.add_kernel(
      "musaic::swiglu_quantize_q8",
      {.name = "swiglu_quantize_q8_gpu", .device_type = kGpuDeviceType, .run = run_swiglu_quantize});
}

}  // namespace musaic
