#include "backends/gpu/gpu_clock.h"

#include <algorithm>

#include "base/check.h"

namespace musaic {

GpuClock::~GpuClock() {
  for (const Point& point : points_) gpuEventDestroy(point.event);
  for (gpuEvent_t event : free_) gpuEventDestroy(event);
  if (last_ != nullptr) gpuEventDestroy(last_);
}

gpuEvent_t GpuClock::take_event() {
  gpuEvent_t event = nullptr;
  if (free_.empty()) {
    stream_.check(gpuTimedEventCreate(&event), "making an event");
    return event;
  }
  event = free_.back();
  free_.pop_back();
  return event;
}

void GpuClock::mark(Stream& stream) {
  gpuEvent_t event = take_event();
  points_.push_back({event, steady_seconds()});
  stream_.check(gpuEventRecord(event, gpu_stream(stream).handle()), "recording an event");
}

std::vector<double> GpuClock::read(size_t count) {
  CHECK(count <= points_.size(), "{} of {} points are read", count, points_.size());
  std::vector<double> times;
  for (size_t i = 0; i < count; ++i) {
    const Point point = points_.front();
    points_.pop_front();
    stream_.check(gpuEventSynchronize(point.event), "waiting for an event");
    const double now = steady_seconds();
    double seconds = point.marked;
    if (last_ != nullptr) {
      float milliseconds = 0.0f;
      stream_.check(gpuEventElapsed(&milliseconds, last_, point.event), "reading an event");
      seconds = std::clamp(last_seconds_ + 1e-3 * milliseconds, point.marked, now);
      free_.push_back(last_);
    }
    last_ = point.event;
    last_seconds_ = std::max(last_seconds_, seconds);
    times.push_back(last_seconds_);
  }
  return times;
}

}  // namespace musaic
