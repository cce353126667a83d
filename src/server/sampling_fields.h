#pragma once

#include "server/fields.h"
#include "server/generation_spec.h"

namespace musaic {

inline constexpr int kMaxAnswers = 128;  // n
inline constexpr size_t kMaxStops = 32;
inline constexpr size_t kMaxStopCharacters = 256;
inline constexpr int kMaxOpenAiTopLogprobs = 20;
inline constexpr int kMaxAskedTokens = 1 << 30;  // the context decides, this only keeps sums small

// Reads the parameters that all routes share (temperature, top_p, stop, ...) over the defaults that are in
// `prompt`.
void read_sampling(Fields& fields, PromptSpec& prompt);

// Names every parameter of SGLang's and OpenAI's APIs that is not served here and is set to other than its
// default.
void reject_unsupported_sampling(Fields& fields);
void reject_unsupported_request(Fields& fields);

}  // namespace musaic
