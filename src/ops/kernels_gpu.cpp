#include "ops/kernels_gpu.h"

#include "ops/rms_norm/rms_norm.h"

namespace musaic {

void add_gpu_kernels(OpRegistry& registry) {
  add_rms_norm_gpu(registry);
}

}  // namespace musaic
