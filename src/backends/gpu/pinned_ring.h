#pragma once

#include <cstddef>
#include <span>

#include "backends/gpu/gpu_stream.h"
#include "gpu_runtime.h"

namespace musaic {

// Page-locked memory that copies pass through, so that the source is free at once and the device reads it
// without the host's help. Two halves: one is filled while the device reads the other.
class PinnedRing {
 public:
  static constexpr size_t kHalfBytes = size_t{4} << 20;  // many steps' inputs; large copies go in such pieces

  explicit PinnedRing(GpuStream& stream);
  ~PinnedRing();
  PinnedRing(const PinnedRing&) = delete;
  PinnedRing& operator=(const PinnedRing&) = delete;

  // Room whose last reader is done. Valid until the work is enqueued that reads it. REQUIRES: 1 to kHalfBytes
  // bytes.
  std::byte* take(size_t bytes);

 private:
  GpuStream& stream_;
  std::byte* memory_ = nullptr;
  gpuEvent_t left_[2] = {};  // behind the last work that reads a half
  int half_ = 0;
  size_t used_ = 0;  // of this half
};

}  // namespace musaic
