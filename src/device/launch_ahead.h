#pragma once

#include <memory>
#include <span>
#include <vector>

#include "device/backend.h"
#include "device/device_calls.h"
#include "device/host_reader.h"
#include "device/stream_clock.h"
#include "device/upload_ranges.h"

namespace musaic {

// A part of what an upload brings that comes from the device.
struct DeviceCopy {
  void* destination;
  const void* source;
  size_t bytes;
};

// What a backend offers besides whose work goes on after it was enqueued.
class LaunchAhead {
 public:
  virtual ~LaunchAhead() = default;
  virtual std::unique_ptr<StreamClock> make_clock() = 0;
  virtual std::unique_ptr<HostReader> make_reader(size_t bytes) = 0;
  // Enqueues the copy of these ranges of a block of a step's inputs, and of `parts` in their places. Not
  // inside a capture. REQUIRES: one range or more, none of them empty; parts lie inside the ranges.
  virtual void upload(void* destination, const void* source, std::span<const UploadRange> ranges,
                      std::span<const DeviceCopy> parts, Stream& stream) = 0;
  // Memory that one captured piece takes of the device, about: one of so many launches, and the mean of a
  // model's pieces.
  virtual size_t executable_bytes(int launches) const = 0;
  virtual size_t executable_bytes() const = 0;
  // Of the device's memory, as its driver tells; any thread.
  virtual size_t free_bytes() const = 0;
  virtual DeviceCalls device_calls() const = 0;  // any thread
};

// nullptr: work is done when it is enqueued.
inline LaunchAhead* launch_ahead(Backend& backend) {
  return dynamic_cast<LaunchAhead*>(&backend);
}
inline std::unique_ptr<StreamClock> make_clock(Backend& backend) {
  LaunchAhead* ahead = launch_ahead(backend);
  return ahead != nullptr ? ahead->make_clock() : std::make_unique<HostStreamClock>();
}

inline std::unique_ptr<HostReader> make_reader(Backend& backend, size_t bytes) {
  LaunchAhead* ahead = launch_ahead(backend);
  if (ahead != nullptr) return ahead->make_reader(bytes);
  return std::make_unique<HostCopyReader>(backend, bytes);
}
inline void copy_ranges(Backend& backend, void* destination, const void* source,
                        std::span<const UploadRange> ranges, Stream& stream) {
  for (const UploadRange& range : ranges)
    backend.copy_to_device(static_cast<std::byte*>(destination) + range.first,
                           static_cast<const std::byte*>(source) + range.first, range.bytes, stream);
}
inline void upload(Backend& backend, void* destination, const void* source,
                   std::span<const UploadRange> ranges, std::span<const DeviceCopy> parts) {
  if (LaunchAhead* ahead = launch_ahead(backend))
    return ahead->upload(destination, source, ranges, parts, backend.stream());
  copy_ranges(backend, destination, source, ranges, backend.stream());
  for (const DeviceCopy& part : parts) {
    std::vector<std::byte> values(part.bytes);
    backend.copy_to_host(values.data(), part.source, part.bytes, backend.stream());
    backend.copy_to_device(part.destination, values.data(), part.bytes, backend.stream());
  }
}

}  // namespace musaic
