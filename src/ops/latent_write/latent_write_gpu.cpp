#include "ops/latent_write/latent_write_gpu.h"

#include "backends/gpu/gpu_stream.h"
#include "backends/gpu/kernel_call.h"
#include "ir/registry.h"
#include "ops/latent_write/latent_write.h"

namespace musaic {

bool takes_latent_rows(const KernelQuery& query) {
  for (int i = 0; i < 3; ++i) {
    if (query.inputs[i]->dtype != DType::kF32) return false;
  }
  return true;
}

LatentWriteCall latent_write_call(const KernelCall& call) {
  const auto in = call.inputs;
  return {.query = device_rows(in[0]),
          .latent = device_rows(in[1]),
          .rope_key = device_rows(in[2]),
          .cos_sin = device_rows(in[3]),
          .slots = in[4].as<const int32_t>(),
          .cache = in[5].data,
          .cache_dtype = in[5].dtype,
          .head_dim = call.attributes.get_int("head_dim"),
          .interleaved = call.attributes.get_bool("interleaved"),
          .live_rows = call.live_rows};
}

void add_latent_write_gpu(OpRegistry& registry) {
  registry.add_kernel("musaic::rope_latent_write", {.name = "rope_latent_write_gpu",
                                                    .device_type = kGpuDeviceType,
                                                    .supports = takes_latent_rows,
                                                    .run = [](const KernelCall& call) {
                                                      GpuStream& stream = gpu_stream(call.stream);
                                                      launch_latent_write(latent_write_call(call),
                                                                          stream.handle());
                                                      stream.check_launch();
                                                    }});
}

}  // namespace musaic
