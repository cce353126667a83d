#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>

namespace musaic {

// Logs an error, once a step, when a step takes longer than the timeout: the device or a driver hangs. Its
// thread wakes a few times per timeout.
class Watchdog {
 public:
  // The time of one step: from construction to destruction. One at a time.
  class Watch {
   public:
    explicit Watch(Watchdog& watchdog);
    ~Watch();
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;

   private:
    Watchdog& watchdog_;
  };

  explicit Watchdog(double timeout_s);  // 0 or less: off
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  int late_steps() const { return late_steps_; }

 private:
  void run();
  void look();

  const std::chrono::duration<double> timeout_;
  std::atomic<int64_t> started_ns_{0};  // steady clock; 0: no step runs
  std::atomic<int> late_steps_{0};
  int64_t reported_ns_ = 0;
  std::mutex mutex_;
  std::condition_variable stop_came_;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace musaic
