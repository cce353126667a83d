#pragma once

#include <cstddef>
#include <vector>

#include "device/backend.h"

namespace musaic {

// Brings values of a device to the host, and waits for them only where they are asked for.
class HostReader {
 public:
  virtual ~HostReader() = default;
  // Enqueues a read. REQUIRES: at most the reader's bytes; the one before was waited for, or is given up.
  virtual void start(const void* source, size_t bytes, Stream& stream) = 0;
  // What was read; valid until the next start().
  virtual const void* wait() = 0;
};

// Of a device whose work is done when it is enqueued.
class HostCopyReader : public HostReader {
 public:
  HostCopyReader(Backend& backend, size_t bytes) : backend_(backend), values_(bytes) {}
  void start(const void* source, size_t bytes, Stream& stream) override {
    backend_.copy_to_host(values_.data(), source, bytes, stream);
  }
  const void* wait() override { return values_.data(); }

 private:
  Backend& backend_;
  std::vector<std::byte> values_;
};

}  // namespace musaic
