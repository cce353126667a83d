#pragma once

#include <deque>
#include <vector>

#include "backends/gpu/gpu_stream.h"
#include "device/stream_clock.h"
#include "gpu_runtime.h"

namespace musaic {

// Points are events of the driver, taken again once they are read. Their times are chained from point to
// point, and kept between the host's times of marking and reading, so that both clocks may drift.
class GpuClock : public StreamClock {
 public:
  explicit GpuClock(GpuStream& stream) : stream_(stream) {}
  ~GpuClock() override;
  GpuClock(const GpuClock&) = delete;
  GpuClock& operator=(const GpuClock&) = delete;

  void mark(Stream& stream) override;
  std::vector<double> read(size_t count) override;

 private:
  struct Point {
    gpuEvent_t event;
    double marked;  // steady_seconds()
  };
  gpuEvent_t take_event();

  GpuStream& stream_;
  std::vector<gpuEvent_t> free_;
  std::deque<Point> points_;
  gpuEvent_t last_ = nullptr;  // the point that was read last; nullptr: none yet
  double last_seconds_ = 0.0;
};

}  // namespace musaic
