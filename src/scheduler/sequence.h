#pragma once

#include <chrono>
#include <vector>

#include "kvcache/kv_cache.h"
#include "request/batch.h"
#include "request/request.h"

namespace musaic {

using Clock = std::chrono::steady_clock;

// A request on its way: its tokens, its pages and how far it got. Owned by the scheduler.
struct Sequence {
  Sequence(Request request, const std::vector<TokenId>& model_end_tokens, Clock::time_point submitted);

  const RequestId id;
  const int prompt_length;
  const SamplingParams sampling;
  const LogprobParams logprobs;
  const std::vector<TokenId> end_tokens;  // those that end it, sorted
  const Clock::time_point submitted;

  std::vector<TokenId> tokens;  // the prompt and what was drawn
  PageTable pages;
  int slot = -1;
  bool slot_is_new = false;  // no step has run in `slot` yet
  int scheduled = 0;         // positions given to steps
  int computed = 0;          // positions of steps that were committed
  int pending = 0;           // tokens that steps in flight draw
  int steps_in_flight = 0;
  bool finished = false;                         // and kept only until its steps in flight are collected
  bool retracted = false;                        // waits to be resumed
  bool answered = false;                         // the first event is out
  int passed_over = 0;                           // later requests admitted before it
  int cached_tokens = 0;                         // of the prompt, found at first admission
  double queue_seconds = -1.0;                   // negative: not yet admitted
  std::vector<PositionLogprobs> input_logprobs;  // until the first event

  int drawn() const { return static_cast<int>(tokens.size()) - prompt_length; }
  int generated() const { return drawn() + pending; }
  int length() const { return static_cast<int>(tokens.size()) + pending; }
  bool all_drawn() const { return generated() >= sampling.max_new_tokens; }

  // Positions that wait to be run: the last token of a finished answer never is.
  int remaining() const { return (all_drawn() ? prompt_length : length()) - scheduled; }
  bool is_decoding() const { return generated() > 0 && remaining() == 1; }
  bool is_prefilling() const { return remaining() > 0 && !is_decoding(); }

  // Leading tokens that may come from the cache: the last one is always run, and so is each prompt position
  // whose log-probability is still wanted.
  int cacheable_tokens() const;
  // Fills `row` with the next `num_tokens` positions and counts them as scheduled. REQUIRES: the pages are
  // there.
  void take_row(int num_tokens, BatchSequence& row);

 private:
  bool wants_input_logprobs() const { return logprobs.enabled && logprobs.start >= 0 && drawn() == 0; }
  void fill_logprobs(BatchSequence& row) const;
};

}  // namespace musaic
