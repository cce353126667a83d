#pragma once

#include <cstdint>

#include "request/batch.h"
#include "scheduler/scheduler.h"

namespace musaic {

// Turns committed steps into log lines and rates: a line for each step that starts requests, one every few
// seconds while busy. Used by the engine thread only.
class StepReport {
 public:
  explicit StepReport(double interval_s);

  void add(const StepContents& contents, const StepRecord& record, const SchedulerCounts& counts,
           Clock::time_point now);
  // Ends the window: the next step begins a new one.
  void pause(const SchedulerCounts& counts, Clock::time_point now);

  double generated_per_second() const { return generated_per_second_; }  // over the last window
  double cache_hit_rate() const { return cache_hit_rate_; }  // of the last window with new requests

 private:
  void close_window(const SchedulerCounts& counts, Clock::time_point now);

  const double interval_s_;
  bool is_open_ = false;
  Clock::time_point window_start_;
  SchedulerCounts at_start_;
  int steps_ = 0;
  int replayed_steps_ = 0;
  double generated_per_second_ = 0.0;
  double cache_hit_rate_ = 0.0;
};

}  // namespace musaic
