#include "backends/gpu/pinned_ring.h"

#include "base/check.h"

namespace musaic {
namespace {

constexpr size_t kAlignment = 64;  // a cache line

}  // namespace

PinnedRing::PinnedRing(GpuStream& stream) : stream_(stream) {
  void* memory = nullptr;
  stream_.check(gpuHostAlloc(&memory, 2 * kHalfBytes), "page-locking host memory");
  memory_ = static_cast<std::byte*>(memory);
  for (gpuEvent_t& event : left_) stream_.check(gpuEventCreate(&event), "making an event");
}

PinnedRing::~PinnedRing() {
  gpuStreamSynchronize(stream_.handle());
  for (gpuEvent_t event : left_) gpuEventDestroy(event);
  gpuHostFree(memory_);
}

std::byte* PinnedRing::take(size_t bytes) {
  CHECK(bytes > 0 && bytes <= kHalfBytes);
  if (used_ + bytes > kHalfBytes) {
    stream_.check(gpuEventRecord(left_[half_], stream_.handle()), "recording an event");
    half_ = 1 - half_;
    stream_.check(gpuEventSynchronize(left_[half_]), "waiting for a copy");
    used_ = 0;
  }
  std::byte* taken = memory_ + static_cast<size_t>(half_) * kHalfBytes + used_;
  used_ += (bytes + kAlignment - 1) / kAlignment * kAlignment;
  return taken;
}

}  // namespace musaic
