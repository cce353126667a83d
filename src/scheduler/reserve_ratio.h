#pragma once

namespace musaic {

// The share of their unused max_new_tokens that admission keeps free for running requests. Most answers end
// early, so it starts below one and sinks with every decode step; a retraction shows that it was too low.
class ReserveRatio {
 public:
  explicit ReserveRatio(double conservativeness);

  double value() const { return value_; }
  void sink();
  // After a retraction: what the running requests, which drew `drawn` of `allowed` tokens, have shown to
  // need.
  void raise(int num_running, double drawn, double allowed);

 private:
  double floor_;
  double step_;
  double value_;
};

}  // namespace musaic
