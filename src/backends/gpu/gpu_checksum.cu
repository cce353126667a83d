#include "backends/gpu/gpu_checksum.h"

#include "gpu_launch.cuh"

namespace musaic {
namespace {

constexpr unsigned kThreads = 256;
constexpr unsigned kBlocks = 1024;  // several a multiprocessor of a large device
constexpr unsigned kAllLanes = 0xffffffffu;

__global__ void add_checksum(const uint64_t* words, size_t count, unsigned long long* sum) {
  wait_for_previous_kernel();
  uint64_t mine = 0;
  const size_t threads = static_cast<size_t>(gridDim.x) * kThreads;
  for (size_t i = static_cast<size_t>(blockIdx.x) * kThreads + threadIdx.x; i < count; i += threads)
    mine += words[i] * (2 * i + 1);
  for (int distance = kWarpSize / 2; distance > 0; distance /= 2)
    mine += __shfl_xor_sync(kAllLanes, mine, distance);
  if (threadIdx.x % kWarpSize == 0) atomicAdd(sum, static_cast<unsigned long long>(mine));
}

}  // namespace

void launch_checksum(const void* data, size_t words, uint64_t* sum, gpuStream_t stream) {
  launch_kernel(add_checksum, dim3(kBlocks), dim3(kThreads), stream, static_cast<const uint64_t*>(data),
                words, reinterpret_cast<unsigned long long*>(sum));
}

}  // namespace musaic
