#include "backends/gpu/gpu_transfer.h"

#include "gpu_host_memory.cuh"
#include "gpu_launch.cuh"

namespace musaic {
namespace {

constexpr int kThreads = 256;

// A thread has a group. The kernels of the step read what it brings before they wait, so none of them may be
// started while it runs.
__global__ void __launch_bounds__(kThreads) bring_words(WordUpload upload) {
  constexpr int kWords = WordUpload::kGroupWords;
  const int group = static_cast<int>(blockIdx.x) * kThreads + static_cast<int>(threadIdx.x);
  uint4 pack = {};
  int first = 0, count = 0;
  if (group < upload.groups) {
    pack = load_from_host(reinterpret_cast<const uint4*>(upload.words) + group);
    const uint32_t place = load_from_host(upload.places + group);
    first = static_cast<int>(place / kWords), count = static_cast<int>(place % kWords) + 1;
  }
  uint32_t words[kWords] = {pack.x, pack.y, pack.z, pack.w};
  wait_and_hold_next_kernel();
  for (int copy = 0; copy < upload.num_device_words; ++copy) {
    const DeviceWords& device = upload.device_words[copy];
#pragma unroll
    for (int i = 0; i < kWords; ++i) {
      const int at = first + i - device.first;
      if (at >= 0 && at < device.count) words[i] = device.from[at];
    }
  }
#pragma unroll
  for (int i = 0; i < kWords; ++i) {
    if (i < count) upload.to[first + i] = words[i];
  }
  __threadfence();
}

__global__ void __launch_bounds__(kThreads)
    send_words(NumberedWord* to, const uint32_t* from, int words, uint32_t number) {
  wait_for_previous_kernel();
  for (int i = static_cast<int>(threadIdx.x); i < words; i += kThreads)
    *reinterpret_cast<uint2*>(to + i) = make_uint2(from[i], number);
}

}  // namespace

void launch_upload(const WordUpload& upload, gpuStream_t stream) {
  const int blocks = (upload.groups + kThreads - 1) / kThreads;
  launch_kernel(bring_words, dim3(static_cast<unsigned>(blocks)), dim3(kThreads), stream, upload);
}

void launch_download(NumberedWord* to, const uint32_t* from, int words, uint32_t number, gpuStream_t stream) {
  launch_kernel(send_words, dim3(1), dim3(kThreads), stream, to, from, words, number);
}

}  // namespace musaic
