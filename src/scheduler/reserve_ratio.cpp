#include "scheduler/reserve_ratio.h"

#include <algorithm>

namespace musaic {
namespace {

// The defaults that SGLang's users know for a conservativeness of 1.
constexpr double kStart = 0.7;
constexpr double kFloorOfStart = 0.14;
constexpr double kStepsToFloor = 600.0;
constexpr double kTokensAheadOfRetraction = 20.0;  // a request gets this far before the next one is due

}  // namespace

ReserveRatio::ReserveRatio(double conservativeness) {
  const double start = std::min(1.0, kStart * conservativeness);
  floor_ = start * kFloorOfStart;
  step_ = (start - floor_) / kStepsToFloor;
  value_ = start;
}

void ReserveRatio::sink() {
  value_ = std::max(floor_, value_ - step_);
}

void ReserveRatio::raise(int num_running, double drawn, double allowed) {
  const double shown = (drawn + kTokensAheadOfRetraction * num_running) / (allowed + 1.0);
  value_ = std::min(1.0, std::max(value_, shown));
}

}  // namespace musaic
