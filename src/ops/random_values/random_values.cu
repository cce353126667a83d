#include "backends/gpu/device_math.cuh"
#include "gpu_launch.cuh"
#include "ops/per_token_group_quant/f8_gpu.cuh"
#include "ops/random_values/random_values_gpu.h"

namespace musaic {
namespace {

// The host's operations one by one (tensor/random_values.h).
__device__ float random_value(const RandomValuesCall& call, uint64_t index) {
  uint64_t bits = call.seed + (index + 1) * 0x9E3779B97F4A7C15u;
  bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9u;
  bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EBu;
  bits ^= bits >> 31;
  const uint64_t sum = (bits & 0xFFFF) + (bits >> 16 & 0xFFFF) + (bits >> 32 & 0xFFFF) + (bits >> 48);
  constexpr float kMean = 4 * 65535 / 2.0f;
  constexpr float kInverseDeviation = 1.7320508f / 65536;
  const float normal = __fmul_rn(static_cast<float>(sum) - kMean, kInverseDeviation);
  return __fadd_rn(call.mean, __fmul_rn(call.deviation, normal));
}

__device__ void store(float* x, float value) {
  *x = value;
}
__device__ void store(gpuBfloat16* x, float value) {
  *x = __float2bfloat16_rn(value);
}
__device__ void store(uint8_t* x, float value) {
  *x = static_cast<uint8_t>(to_f8e4m3(fmaxf(-448.0f, fminf(value, 448.0f))));
}

template <class T>
__global__ void fill_values(RandomValuesCall call) {
  wait_for_previous_kernel();
  const int64_t count = live_count(call.live_rows, call.rows) * call.width;
  const int64_t threads = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += threads)
    store(static_cast<T*>(call.x) + i, random_value(call, static_cast<uint64_t>(i)));
}

template <class T>
void launch(const RandomValuesCall& call, gpuStream_t stream) {
  constexpr int64_t kThreads = 256, kMaxBlocks = 8192;
  int64_t blocks = (call.rows * call.width + kThreads - 1) / kThreads;
  if (blocks > kMaxBlocks) blocks = kMaxBlocks;
  launch_kernel(fill_values<T>, dim3(static_cast<unsigned>(blocks)), dim3(kThreads), stream, call);
}

}  // namespace

void launch_random_values(const RandomValuesCall& call, gpuStream_t stream) {
  if (call.dtype == DType::kF8E4M3) return launch<uint8_t>(call, stream);
  if (call.dtype == DType::kBF16) return launch<gpuBfloat16>(call, stream);
  launch<float>(call, stream);
}

}  // namespace musaic
