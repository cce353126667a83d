#include "ops/rope/rope_gpu.h"

#include "backends/gpu/gpu_stream.h"
#include "backends/gpu/kernel_call.h"
#include "ir/registry.h"
#include "ops/rope/rope.h"

namespace musaic {
namespace {

void run_rope_cos_sin(const KernelCall& call) {
  GpuStream& stream = gpu_stream(call.stream);
  const Tensor& positions = call.inputs[0];
  const Tensor& inv_freq = call.inputs[1];
  launch_rope_cos_sin({.positions = positions.as<const int32_t>(),
                       .position_stride = positions.strides[0],
                       .inv_freq = inv_freq.as<const float>(),
                       .half = inv_freq.shape[0],
                       .factor = call.attributes.get_float("attention_factor"),
                       .cos_sin = device_rows(call.outputs[0]),
                       .live_rows = call.live_rows},
                      stream.handle());
  stream.check_launch();
}

void run_rope(const KernelCall& call) {
  GpuStream& stream = gpu_stream(call.stream);
  launch_rope({.x = device_rows(call.inputs[0]),
               .cos_sin = device_rows(call.inputs[1]),
               .head_dim = call.attributes.get_int("head_dim"),
               .interleaved = call.attributes.get_bool("interleaved"),
               .live_rows = call.live_rows},
              stream.handle());
  stream.check_launch();
}

}  // namespace

void add_rope_gpu(OpRegistry& registry) {
  registry.add_kernel("musaic::rope_cos_sin",
                      {.name = "rope_cos_sin_gpu", .device_type = kGpuDeviceType, .run = run_rope_cos_sin});
  registry.add_kernel("musaic::rope_", {.name = "rope_gpu", .device_type = kGpuDeviceType, .run = run_rope});
}

}  // namespace musaic
