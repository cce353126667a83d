#include "backends/gpu/gpu_test_kernels.h"

namespace musaic {
namespace {

__global__ void increment(int32_t* value) {
  *value += 1;
}

}  // namespace

void launch_increment(int32_t* value, gpuStream_t stream) {
  increment<<<1, 1, 0, stream>>>(value);
}

void launch_with_too_many_threads(gpuStream_t stream) {
  increment<<<1, 4096, 0, stream>>>(nullptr);
}

void launch_wild_write(gpuStream_t stream) {
  increment<<<1, 1, 0, stream>>>(reinterpret_cast<int32_t*>(16));
}

}  // namespace musaic
