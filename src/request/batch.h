#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "request/request.h"

namespace musaic {

// What a step does: `extend` runs prompt chunks and decode rows mixed, `decode` one token of every sequence.
enum class StepKind { kExtend, kDecode };

inline constexpr TokenId kTokenFromDevice = -1;  // the token that the step in flight samples for this slot

// One sequence's share of a step.
struct BatchSequence {
  RequestId request = 0;
  int slot = 0;                 // row of per-request device state, unique among live sequences
  std::vector<TokenId> tokens;  // the tokens to run, at positions start .. start + tokens.size() - 1
  int start = 0;                // = tokens already in the KV cache
  std::vector<int32_t> pages;   // pages that hold positions 0 .. start + tokens.size() - 1, in order
  bool sample = false;          // draw a token from the last row's logits
  bool reset_slot = false;      // first step of this sequence in `slot`: clear the slot's device state
  std::vector<TokenId>
      output_tokens;            // with reset_slot: tokens drawn before (a resumed request), for the penalties
  int num_generated = 0;        // tokens generated before this step: the counter of the random stream
  SamplingParams sampling;      // seed is set
  std::vector<TokenId> banned;  // tokens that may not be drawn in this step (min_new_tokens)
  // Log-probabilities: rows of this step whose following prompt token is wanted, as offsets into `tokens`.
  int logprob_begin = 0;
  int logprob_end = 0;                   // empty when begin == end
  std::vector<TokenId> logprob_targets;  // one a row of [begin, end): the token that follows it in the prompt
  bool output_logprobs = false;          // of the drawn token
  int top_n = 0;
  std::vector<TokenId> probes;
};

// One step. REQUIRES: the sum of tokens is within the runner's max_tokens_per_step.
struct Batch {
  StepKind kind = StepKind::kExtend;
  std::vector<BatchSequence> sequences;

  bool empty() const { return sequences.empty(); }
  int num_tokens() const {
    int sum = 0;
    for (const BatchSequence& sequence : sequences) sum += static_cast<int>(sequence.tokens.size());
    return sum;
  }
};

// Why a step ran as it did.
struct StepRecord {
  StepKind kind = StepKind::kExtend;
  bool replayed = false;
  int tokens = 0;      // real rows
  int bucket = 0;      // rows of the program that ran; pad rows = bucket - tokens
  std::string reason;  // "bucket", "disabled", "above_max_tokens", ...
  double seconds = 0.0;
  std::string
      waited;  // where steps overlap: why its launch waited for its tokens, "logprobs"; empty: it did not
};

// "extend bucket=64 replayed pad=3"; an eager step adds its reason: "decode bucket=8 eager pad=0
// reason=disabled"; one that could not overlap with the next "waited=logprobs".
std::string describe(const StepRecord& record);

// When a device ran one piece of a step's programs, or a break between pieces.
struct SegmentTime {
  std::string name;  // "extend piece 3 of 31"
  bool is_break = false;
  bool replayed = false;
  int bucket = 0;
  int launches = 0;
  double begin = 0.0;  // seconds of the steady clock
  double end = 0.0;
};

struct SequenceOutput {
  RequestId request = 0;
  std::vector<TokenId> tokens;                    // 0..k drawn tokens
  std::vector<PositionLogprobs> output_logprobs;  // one a token when asked for
  std::vector<PositionLogprobs> input_logprobs;   // one a row of [logprob_begin, logprob_end)
};

struct StepOutput {
  std::vector<SequenceOutput> sequences;  // in the batch's order
  StepRecord record;
  std::vector<SegmentTime> segments;  // where they are timed
};

}  // namespace musaic
