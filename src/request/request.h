#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace musaic {

using RequestId = uint64_t;  // unique within one engine; the client's `rid` is text and lives in the server
using TokenId = int32_t;

// How the tokens of one sequence are chosen and when it ends. Text-side rules (stop strings) live with the
// detokenizer: TextRules in tokenizer/.
struct SamplingParams {
  int max_new_tokens = 128;         // 0: prefill only
  int min_new_tokens = 0;           // end tokens cannot be chosen before
  float temperature = 1.0f;         // 0: greedy
  float top_p = 1.0f;               // (0, 1]
  int top_k = -1;                   // -1: off
  float min_p = 0.0f;               // [0, 1]
  float frequency_penalty = 0.0f;   // [-2, 2], over output tokens
  float presence_penalty = 0.0f;    // [-2, 2], over output tokens
  float repetition_penalty = 1.0f;  // (0, 2], over output tokens
  std::optional<int64_t> seed;      // absent: drawn by the engine from --random-seed
  bool ignore_eos = false;          // the model's end tokens do not stop; stop_token_ids still do
  std::vector<TokenId> stop_token_ids;
  std::vector<std::pair<TokenId, float>> logit_bias;  // at most kMaxLogitBias entries
};

inline constexpr int kMaxLogitBias = 1024;  // rows of the sampler's input buffers
inline constexpr int kMaxTopLogprobs = 128;
inline constexpr int kMaxProbeTokens = 128;  // token_ids_logprob

struct LogprobParams {
  bool enabled = false;
  int start = -1;  // first prompt position whose log-probability is wanted; -1: none of the prompt
  int top_n = 0;   // 0..kMaxTopLogprobs best alternatives a position
  std::vector<TokenId> probes;  // log-probabilities of these tokens at each position
};

// One sequence to generate. `n` > 1 arrives as n requests; the prefix cache makes them share the prompt.
struct Request {
  RequestId id = 0;
  std::vector<TokenId> input_ids;
  SamplingParams sampling;
  LogprobParams logprobs;
};

// Log-probabilities at one position, of the model's own distribution (before temperature and penalties).
struct PositionLogprobs {
  TokenId token = -1;
  float logprob = 0.0f;
  std::vector<std::pair<TokenId, float>> top;     // best first, top_n entries
  std::vector<std::pair<TokenId, float>> probes;  // in the order asked
};

enum class FinishKind { kStopToken, kLength, kAbort };

struct Finish {
  FinishKind kind = FinishKind::kLength;
  TokenId matched = -1;  // kStopToken: which
  std::string message;   // kAbort: why
  int status = 0;        // kAbort: the HTTP status that fits (e.g. 400, 500, 503); 0: the client asked for it
};

// What one step did to one request; the engine hands it to the request's sink on the engine thread.
struct OutputEvent {
  RequestId request = 0;
  std::vector<TokenId> tokens;                    // new tokens, the matched stop token included
  std::vector<PositionLogprobs> output_logprobs;  // one a new token when asked for
  std::vector<PositionLogprobs> input_logprobs;   // with the first event: positions start+1 .. prompt end
  std::optional<Finish> finish;
  int prompt_tokens = 0;
  int cached_tokens = 0;  // of the prompt, found in the prefix cache
  double queue_seconds = 0.0;
  std::string step_reason;  // with the first and last event: "extend bucket=64 replayed pad=3"
};

}  // namespace musaic
