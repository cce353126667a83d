#pragma once

#include <chrono>
#include <deque>
#include <vector>

namespace musaic {

class Stream;

// Seconds of std::chrono::steady_clock.
inline double steady_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Tells when a device reached points of its stream. Points are read in the order in which they were marked.
// Engine thread only.
class StreamClock {
 public:
  virtual ~StreamClock() = default;
  // Enqueues a point behind all that is enqueued.
  virtual void mark(Stream& stream) = 0;
  // When the oldest `count` points were reached, as steady_seconds(), and forgets them; waits until they are.
  // No time is before one that was read earlier. REQUIRES: so many are marked.
  virtual std::vector<double> read(size_t count) = 0;
};

// Of a device whose work is done when it is enqueued.
class HostStreamClock : public StreamClock {
 public:
  void mark(Stream&) override { times_.push_back(steady_seconds()); }
  std::vector<double> read(size_t count) override {
    const auto end = times_.begin() + static_cast<std::ptrdiff_t>(count);
    std::vector<double> read(times_.begin(), end);
    times_.erase(times_.begin(), end);
    return read;
  }

 private:
  std::deque<double> times_;
};

}  // namespace musaic
