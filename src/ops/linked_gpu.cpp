#include "ops/linked_gpu.h"

#include "backends/gpu/gpu_backend.h"
#include "ops/kernels_gpu.h"

namespace musaic {

LinkedGpu linked_gpu() {
  return {.type = gpu_device_type(),
          .add_kernels = add_gpu_kernels,
          .count = count_gpus,
          .make = [](const GpuOptions& options) -> std::unique_ptr<Backend> {
            return std::make_unique<GpuBackend>(options);
          },
          .memory_size = gpu_memory_size};
}

}  // namespace musaic
