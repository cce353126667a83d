#pragma once

namespace musaic {

// How many tokens a step may hold to end within a target time, learned from the steps that ran. Recent steps
// count most, each by its tokens, so that one that was held up is soon forgotten.
class StepPacer {
 public:
  // `target_s` 0: no target.
  explicit StepPacer(double target_s) : target_s_(target_s) {}

  void note(int tokens, double seconds);

  // At least one; INT_MAX without a target or before the first step.
  int tokens_within_target() const;

 private:
  double target_s_;
  double seconds_ = 0.0;  // decaying sums over the steps
  double tokens_ = 0.0;
};

}  // namespace musaic
