#include "ops/quantize/quantize_gpu.h"

#include "backends/gpu/gpu_stream.h"
#include "backends/gpu/kernel_call.h"
#include "ir/registry.h"
#include "ops/quantize/quantize.h"
#include "ops/quantize/quantized_call_gpu.h"

namespace musaic {
namespace {

void run_quantize_q8(const KernelCall& call) {
  GpuStream& stream = gpu_stream(call.stream);
  launch_quantize_q8(device_rows(call.inputs[0]), quantized_rows_out(call.outputs), call.live_rows,
                     stream.handle());
  stream.check_launch();
}

}  // namespace

void add_quantize_gpu(OpRegistry& registry) {
  registry.add_kernel("musaic::quantize_q8",
                      {.name = "quantize_q8_gpu", .device_type = kGpuDeviceType, .run = run_quantize_q8});
}

}  // namespace musaic
