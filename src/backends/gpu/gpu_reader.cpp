#include "backends/gpu/gpu_reader.h"

#include <immintrin.h>

#include <atomic>
#include <bit>
#include <chrono>
#include <cstring>

#include "base/check.h"

namespace musaic {

GpuReader::GpuReader(GpuStream& stream, size_t bytes)
    : stream_(stream), bytes_(bytes), words_(bytes / sizeof(uint32_t)) {
  const size_t room = kKernelsReachHostMemory ? words_.size() * sizeof(NumberedWord) : bytes;
  stream_.check(gpuHostAlloc(&memory_, room), "page-locking host memory");
  std::memset(memory_, 0, room);
  stream_.check(gpuEventCreate(&read_), "making an event");
}

GpuReader::~GpuReader() {
  gpuStreamSynchronize(stream_.handle());
  gpuEventDestroy(read_);
  gpuHostFree(memory_);
}

void GpuReader::start(const void* source, size_t bytes, Stream& stream) {
  CHECK(bytes <= bytes_ && bytes % sizeof(uint32_t) == 0, "{} bytes are read into {}", bytes, bytes_);
  GpuStream& own = gpu_stream(stream);
  own.forbid_in_capture("a copy to the host");
  num_words_ = bytes / sizeof(uint32_t);
  if constexpr (kKernelsReachHostMemory) {
    launch_download(static_cast<NumberedWord*>(memory_), static_cast<const uint32_t*>(source),
                    static_cast<int>(num_words_), ++number_, own.handle());
    own.check(gpuGetLastError(), "a copy to the host");
  } else {
    own.check(gpuCopyToHost(memory_, source, bytes, own.handle()), "a copy to the host");
    own.check(gpuEventRecord(read_, own.handle()), "recording an event");
  }
  launch_ = own.last_launch();
}

const void* GpuReader::wait() {
  stream_.count_read(launch_);
  if constexpr (kKernelsReachHostMemory) {
    take_words();
    return words_.data();
  } else {
    stream_.check(gpuEventSynchronize(read_), "waiting for the device");
    return memory_;
  }
}

// Takes word i if it is there.
bool GpuReader::has_word(size_t i) {
  auto& numbered = static_cast<uint64_t*>(memory_)[i];
  const auto value = std::bit_cast<NumberedWord>(std::atomic_ref(numbered).load(std::memory_order_acquire));
  words_[i] = value.word;
  return value.number == number_;
}

// A device that is lost never writes them: the driver is asked when it takes long.
void GpuReader::take_words() {
  constexpr auto kLong = std::chrono::milliseconds(200);
  constexpr int kLooksBetween = 1000;  // at the clock
  const auto start = std::chrono::steady_clock::now();
  bool has_waited = false;
  for (size_t i = 0; i < num_words_; ++i) {
    for (int looks = 1; !has_word(i); ++looks) {
      CHECK(!has_waited, "word {} of a read was not written", i);
      _mm_pause();
      if (looks % kLooksBetween != 0 || std::chrono::steady_clock::now() - start < kLong) continue;
      stream_.check(gpuStreamSynchronize(stream_.handle()), "waiting for the device");
      has_waited = true;
    }
  }
}

}  // namespace musaic
