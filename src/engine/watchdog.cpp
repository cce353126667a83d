#include "engine/watchdog.h"

#include "base/log.h"

namespace musaic {
namespace {

constexpr double kLooksPerTimeout = 4.0;

int64_t now_ns() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(now).count();
}

}  // namespace

Watchdog::Watch::Watch(Watchdog& watchdog) : watchdog_(watchdog) {
  watchdog_.started_ns_ = now_ns();
}
Watchdog::Watch::~Watch() {
  watchdog_.started_ns_ = 0;
}

Watchdog::Watchdog(double timeout_s) : timeout_(timeout_s) {
  if (timeout_s > 0.0) thread_ = std::thread([this] { run(); });
}

Watchdog::~Watchdog() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  stop_came_.notify_all();
  thread_.join();
}

void Watchdog::run() {
  std::unique_lock lock(mutex_);
  while (!stop_came_.wait_for(lock, timeout_ / kLooksPerTimeout, [this] { return stop_; })) look();
}

void Watchdog::look() {
  const int64_t started_ns = started_ns_;
  if (started_ns == 0 || started_ns == reported_ns_) return;
  const double seconds = static_cast<double>(now_ns() - started_ns) * 1e-9;
  if (seconds < timeout_.count()) return;
  reported_ns_ = started_ns;
  ++late_steps_;
  spdlog::error("a step has been running for {:.1f} s, longer than the watchdog timeout of {:.1f} s", seconds,
                timeout_.count());
}

}  // namespace musaic
