#include "backends/gpu/gpu_reader.h"

#include <atomic>
#include <chrono>

#include "backends/gpu/gpu_transfer.h"
#include "base/check.h"

namespace musaic {
namespace {

constexpr size_t kFlagBytes = 64;  // a cache line

}  // namespace

GpuReader::GpuReader(GpuStream& stream, size_t bytes) : stream_(stream), bytes_(bytes) {
  stream_.check(gpuHostAlloc(&memory_, kFlagBytes + bytes), "page-locking host memory");
  flag_ = static_cast<uint32_t*>(memory_);
  *flag_ = number_;
  values_ = static_cast<std::byte*>(memory_) + kFlagBytes;
  stream_.check(gpuEventCreate(&read_), "making an event");
}

GpuReader::~GpuReader() {
  gpuStreamSynchronize(stream_.handle());
  gpuEventDestroy(read_);
  gpuHostFree(memory_);
}

void GpuReader::start(const void* source, size_t bytes, Stream& stream) {
  CHECK(bytes <= bytes_, "{} bytes are read into {}", bytes, bytes_);
  GpuStream& own = gpu_stream(stream);
  own.forbid_in_capture("a copy to the host");
  is_by_kernel_ = kKernelsReachHostMemory && bytes % sizeof(uint32_t) == 0;
  if constexpr (kKernelsReachHostMemory) {
    if (is_by_kernel_) {
      launch_download(static_cast<uint32_t*>(values_), static_cast<const uint32_t*>(source),
                      static_cast<int>(bytes / sizeof(uint32_t)), flag_, ++number_, own.handle());
      own.check(gpuGetLastError(), "a copy to the host");
    }
  }
  if (!is_by_kernel_) {
    own.check(gpuCopyToHost(values_, source, bytes, own.handle()), "a copy to the host");
    own.check(gpuEventRecord(read_, own.handle()), "recording an event");
  }
  launch_ = own.last_launch();
}

const void* GpuReader::wait() {
  stream_.count_read(launch_);
  if (is_by_kernel_) {
    wait_for_flag();
  } else {
    stream_.check(gpuEventSynchronize(read_), "waiting for the device");
  }
  return values_;
}

// A device that is lost never sets it: the driver is asked when it takes long.
void GpuReader::wait_for_flag() const {
  constexpr auto kLong = std::chrono::milliseconds(200);
  constexpr int kReadsBetween = 1000;  // looks at the clock
  const std::atomic_ref<uint32_t> flag(*flag_);
  const auto start = std::chrono::steady_clock::now();
  while (std::chrono::steady_clock::now() - start < kLong) {
    for (int i = 0; i < kReadsBetween; ++i) {
      if (flag.load(std::memory_order_acquire) == number_) return;
    }
  }
  stream_.check(gpuStreamSynchronize(stream_.handle()), "waiting for the device");
}

}  // namespace musaic
