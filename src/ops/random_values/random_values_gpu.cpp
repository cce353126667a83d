#include "ops/random_values/random_values_gpu.h"

#include "backends/gpu/gpu_stream.h"
#include "ir/registry.h"
#include "ops/random_values/random_values.h"

namespace musaic {
namespace {

void run_random_values(const KernelCall& call) {
  const Tensor& x = call.inputs[0];
  const int64_t rows = x.shape[0];
  GpuStream& stream = gpu_stream(call.stream);
  launch_random_values({.x = x.data,
                        .dtype = x.dtype,
                        .rows = rows,
                        .width = rows == 0 ? 0 : x.shape.elements() / rows,
                        .seed = static_cast<uint64_t>(call.attributes.get_int("seed")),
                        .mean = static_cast<float>(call.attributes.get_float("mean")),
                        .deviation = static_cast<float>(call.attributes.get_float("deviation")),
                        .live_rows = call.live_rows},
                       stream.handle());
  stream.check_launch();
}

}  // namespace

void add_random_values_gpu(OpRegistry& registry) {
  registry.add_kernel("musaic::random_values",
                      {.name = "random_values_gpu", .device_type = kGpuDeviceType, .run = run_random_values});
}

}  // namespace musaic
