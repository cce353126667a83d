#pragma once

#include <memory>
#include <vector>

#include "device/backend.h"
#include "device/device_calls.h"
#include "device/host_reader.h"
#include "device/stream_clock.h"

namespace musaic {

// What a backend offers besides whose work goes on after it was enqueued.
class LaunchAhead {
 public:
  virtual ~LaunchAhead() = default;
  virtual std::unique_ptr<StreamClock> make_clock() = 0;
  virtual std::unique_ptr<HostReader> make_reader(size_t bytes) = 0;
  // Enqueues a copy inside of the device. Not inside a capture.
  virtual void copy_on_device(void* destination, const void* source, size_t bytes, Stream& stream) = 0;
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
inline void copy_on_device(Backend& backend, void* destination, const void* source, size_t bytes) {
  if (LaunchAhead* ahead = launch_ahead(backend))
    return ahead->copy_on_device(destination, source, bytes, backend.stream());
  std::vector<std::byte> values(bytes);
  backend.copy_to_host(values.data(), source, bytes, backend.stream());
  backend.copy_to_device(destination, values.data(), bytes, backend.stream());
}

}  // namespace musaic
