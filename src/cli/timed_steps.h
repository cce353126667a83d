#pragma once

#include <random>
#include <vector>

#include "runner/graph_runner.h"

namespace musaic {

// Steps of made-up tokens straight into a runner, without scheduler and engine. Sequences lie side by side in
// the KV cache, `capacity` tokens each. One thread.
class TimedSteps {
 public:
  // Throws LoadError when the runner has no room for that.
  TimedSteps(GraphRunner& runner, int num_sequences, int capacity);

  // Runs `tokens` of sequence `index` from its beginning, in steps of at most the runner's size, and draws
  // one token; returns the seconds. REQUIRES: tokens <= capacity.
  double prefill(int index, int tokens);
  // One decode step of the first `batch` sequences with `past` tokens behind them.
  double decode(int batch, int past);
  // Seconds a step of `steps` in a row, each launched before the one before is collected.
  double decode_overlapped(int batch, int past, int steps);
  // The mean number of experts that a layer reads in such a step, over some; 0: the model has none.
  double experts_read(int batch, int past);

 private:
  double run(const Batch& batch);
  Batch decode_step(int batch, int past);
  std::vector<int32_t> pages(int index, int tokens) const;
  TokenId random_token();

  GraphRunner& runner_;
  int pages_each_;
  std::mt19937 random_{1};
};

}  // namespace musaic
