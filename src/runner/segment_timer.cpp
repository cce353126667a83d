#include "runner/segment_timer.h"

#include "base/check.h"

namespace musaic {

void SegmentTimer::mark() {
  clock_->mark(backend_.stream());
  ++current_.points;
}

void SegmentTimer::begin(const Program& program, int bucket, bool replayed) {
  program_ = &program;
  bucket_ = bucket;
  replayed_ = replayed;
  mark();
}

void SegmentTimer::end_segment(int segment) {
  current_.first_points.push_back(current_.points - 1);
  mark();
  current_.segments.push_back({.name = program_->graph().name + " " + program_->segment_name(segment),
                               .is_break = program_->segments()[segment].is_break,
                               .replayed = replayed_,
                               .bucket = bucket_,
                               .launches = program_->num_launches(bucket_, segment)});
}

void SegmentTimer::end_step() {
  ended_.push_back(std::move(current_));
  current_ = {};
}

std::vector<SegmentTime> SegmentTimer::read_step() {
  CHECK(!ended_.empty(), "no step is timed");
  Step step = std::move(ended_.front());
  ended_.pop_front();
  const std::vector<double> times = clock_->read(step.points);
  for (size_t i = 0; i < step.segments.size(); ++i) {
    step.segments[i].begin = times[step.first_points[i]];
    step.segments[i].end = times[step.first_points[i] + 1];
  }
  return std::move(step.segments);
}

}  // namespace musaic
