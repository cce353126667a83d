#pragma once

#include <memory>

#include "device/backend.h"
#include "device/stream_clock.h"

namespace musaic {

// What a backend offers besides whose work goes on after it was enqueued.
class LaunchAhead {
 public:
  virtual ~LaunchAhead() = default;
  virtual std::unique_ptr<StreamClock> make_clock() = 0;
  // Memory that one captured piece takes of the device, about.
  virtual size_t executable_bytes() const = 0;
};

// nullptr: work is done when it is enqueued.
inline LaunchAhead* launch_ahead(Backend& backend) {
  return dynamic_cast<LaunchAhead*>(&backend);
}
inline std::unique_ptr<StreamClock> make_clock(Backend& backend) {
  LaunchAhead* ahead = launch_ahead(backend);
  return ahead != nullptr ? ahead->make_clock() : std::make_unique<HostStreamClock>();
}

}  // namespace musaic
