#pragma once

#include "base/status.h"
#include "request/request.h"

namespace musaic {

inline constexpr int kMaxStopTokens = 256;  // entries of stop_token_ids
// Columns of the sampler's bias: logit_bias, and the stop tokens and the model's end tokens when banned.
inline constexpr int kBiasColumns = kMaxLogitBias + kMaxStopTokens + 64;

// Whether every value is in the range that request.h states and every token id is in [0, vocab_size).
// The message names the parameter, the range and what came.
Status validate(const SamplingParams& params, int vocab_size);
Status validate(const LogprobParams& params, int num_prompt_tokens, int vocab_size);

}  // namespace musaic
