#include "ops/embedding/embedding_gpu.h"

#include "backends/gpu/gpu_stream.h"
#include "backends/gpu/kernel_call.h"
#include "ir/registry.h"
#include "ops/embedding/embedding.h"

namespace musaic {
namespace {

void run_embedding(const KernelCall& call) {
  const Tensor& weight = call.inputs[0];
  GpuStream& stream = gpu_stream(call.stream);
  launch_embedding({.weight = weight.as<const uint8_t>(),
                    .weight_dtype = weight.dtype,
                    .row_bytes = static_cast<int64_t>(byte_size(weight.dtype, weight.shape[1])),
                    .vocab = weight.shape[0],
                    .indices = call.inputs[1].as<const int32_t>(),
                    .y = device_rows(call.outputs[0]),
                    .live_rows = call.live_rows},
                   stream.handle());
  stream.check_launch();
}

}  // namespace

void add_embedding_gpu(OpRegistry& registry) {
  registry.add_kernel("aten::embedding",
                      {.name = "embedding_gpu", .device_type = kGpuDeviceType, .run = run_embedding});
}

}  // namespace musaic
