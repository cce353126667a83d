#include "ops/latent_write/norm_latent_write.h"

#include "backends/gpu/gpu_stream.h"
#include "backends/gpu/kernel_call.h"
#include "ir/registry.h"
#include "ops/latent_write/latent_write_gpu.h"

namespace musaic {
namespace {

void run_norm_latent_write(const KernelCall& call) {
  GpuStream& stream = gpu_stream(call.stream);
  launch_norm_latent_write(latent_write_call(call),
                           {.weight = call.inputs[6].data,
                            .dtype = call.inputs[6].dtype,
                            .eps = static_cast<float>(call.attributes.get_float("eps"))},
                           stream.handle());
  stream.check_launch();
}

}  // namespace

void add_norm_latent_write_gpu(OpRegistry& registry) {
  registry.add_kernel("musaic::norm_latent_write", {.name = "norm_latent_write_gpu",
                                                    .device_type = kGpuDeviceType,
                                                    .supports = takes_latent_rows,
                                                    .run = run_norm_latent_write});
}

}  // namespace musaic
