#include "scheduler/step_pacer.h"

#include <algorithm>
#include <limits>

namespace musaic {
namespace {

constexpr double kKept = 0.8;  // of what was known, at each step: the last five make up two thirds

}  // namespace

void StepPacer::note(int tokens, double seconds) {
  if (tokens <= 0 || !(seconds > 0.0)) return;
  seconds_ = kKept * seconds_ + seconds;
  tokens_ = kKept * tokens_ + tokens;
}

int StepPacer::tokens_within_target() const {
  constexpr int kUnlimited = std::numeric_limits<int>::max();
  if (!(target_s_ > 0.0) || tokens_ == 0.0) return kUnlimited;
  const double tokens = target_s_ * tokens_ / seconds_;
  return tokens < kUnlimited ? std::max(1, static_cast<int>(tokens)) : kUnlimited;
}

}  // namespace musaic
