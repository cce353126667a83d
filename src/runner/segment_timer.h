#pragma once

#include <deque>
#include <memory>
#include <vector>

#include "device/launch_ahead.h"
#include "program/program.h"
#include "request/batch.h"

namespace musaic {

// Times the segments of the programs that steps run. Steps are read in the order in which they were
// enqueued.
class SegmentTimer final : public SegmentObserver {
 public:
  explicit SegmentTimer(Backend& backend) : backend_(backend), clock_(make_clock(backend)) {}

  void begin(const Program& program, int bucket, bool replayed) override;
  void end_segment(int segment) override;

  // Ends a step: what ran since the last call belongs to it.
  void end_step();
  // The times of the oldest step that was ended; waits for its work.
  std::vector<SegmentTime> read_step();

 private:
  struct Step {
    std::vector<SegmentTime> segments;  // without times
    std::vector<size_t> first_points;   // of the segments; each ends with the next point
    size_t points = 0;
  };
  void mark();

  Backend& backend_;
  std::unique_ptr<StreamClock> clock_;
  const Program* program_ = nullptr;  // that is being enqueued
  int bucket_ = 0;
  bool replayed_ = false;
  Step current_;
  std::deque<Step> ended_;
};

}  // namespace musaic
