#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "request/request.h"
#include "server/generation_spec.h"
#include "tokenizer/text_stream.h"

namespace musaic {

// How an answer ended, as its client sees it.
struct ChoiceFinish {
  enum class Kind { kStop, kLength, kAbort };
  Kind kind = Kind::kLength;
  TokenId matched_token = -1;  // kStop: the token, or
  std::string matched_text;    // the stop string or the pattern
  std::string message;         // kAbort
  int status = 0;              // kAbort: HTTP status, 0 when the client asked for it
};

// One answer in the making: what the engine has sent so far, as tokens and as text.
struct Choice {
  using Clock = std::chrono::steady_clock;

  int index = 0;  // among all answers of the HTTP request
  int prompt_index = 0;
  const PromptSpec* prompt = nullptr;  // of the same generation
  std::string rid;
  RequestId request = 0;
  std::optional<TextStream> decoder;  // none without a tokenizer

  std::string text;
  std::vector<TokenId> tokens;
  std::vector<PositionLogprobs> output_logprobs;
  std::vector<PositionLogprobs> input_logprobs;
  std::optional<ChoiceFinish> finish;
  int cached_tokens = 0;
  double queue_seconds = 0.0;
  std::string first_step;  // reasons of the first and the last step
  std::string last_step;

  Clock::time_point created;
  Clock::time_point first_token_at;
  Clock::time_point last_token_at;
  Clock::time_point finished_at;

  // What the stream has shown.
  bool started = false;
  size_t shown_text = 0;
  size_t shown_tokens = 0;
  bool shown_finish = false;

  int prompt_tokens() const { return static_cast<int>(prompt->ids.size()); }
  double seconds_since_created(Clock::time_point now) const {
    return std::chrono::duration<double>(now - created).count();
  }
};

// Takes in what a step did. True when the text ended the answer, so that the engine has to be told.
bool accept(Choice& choice, OutputEvent&& event, Choice::Clock::time_point now);

// Whether a stream has something to show: the end, or `interval` tokens more than it has shown (or the first
// one).
bool has_news(const Choice& choice, int interval);
void mark_shown(Choice& choice);

const char* finish_name(ChoiceFinish::Kind kind);  // "stop", "length", "abort"

}  // namespace musaic
