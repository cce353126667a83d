#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "device/uploader.h"

namespace musaic {

class Backend;

// What is done with whole buffers of a device outside of kernels. A backend whose device can do it without
// the host is one of these too.
class BulkMemory {
 public:
  virtual ~BulkMemory() = default;
  // Enqueued. REQUIRES: no capture is running; so for checksum.
  virtual void fill(void* destination, std::byte value, size_t bytes) = 0;
  // checksum_of (device/checksum.h) the memory, once what is enqueued is done. REQUIRES: a multiple of 8
  // bytes at such an address.
  virtual uint64_t checksum(const void* data, size_t bytes) = 0;
  // For pieces of at most so many bytes. Called by the thread that will use it, which may be any. The
  // uploader must not outlive the backend.
  virtual std::unique_ptr<Uploader> make_uploader(size_t piece_bytes) = 0;
};

// The backend's own, or one that copies from and to the host. REQUIRES: the backend outlives it, and its
// uploaders.
std::shared_ptr<BulkMemory> bulk_memory(Backend& backend);

}  // namespace musaic
