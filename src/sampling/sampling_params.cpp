#include "sampling/sampling_params.h"

#include <cmath>

namespace musaic {
namespace {

// Also false for NaN.
bool in_range(float value, float low, float high) {
  return value >= low && value <= high;
}

Status check_range(const char* name, float value, float low, float high) {
  if (in_range(value, low, high)) return {};
  return invalid_argument("{} must be in [{}, {}], got {}", name, low, high, value);
}

Status check_token(const char* name, TokenId token, int vocab_size) {
  if (token >= 0 && token < vocab_size) return {};
  return invalid_argument("{}: token ids must be in [0, {}), got {}", name, vocab_size, token);
}

Status check_ranges(const SamplingParams& params) {
  if (!in_range(params.temperature, 0.0f, 1e6f)) {
    return invalid_argument("temperature must be 0 or more, got {}", params.temperature);
  }
  if (!(params.top_p > 0.0f && params.top_p <= 1.0f)) {
    return invalid_argument("top_p must be in (0, 1], got {}", params.top_p);
  }
  if (params.top_k != -1 && params.top_k < 1) {
    return invalid_argument("top_k must be -1 (off) or at least 1, got {}", params.top_k);
  }
  if (!(params.repetition_penalty > 0.0f && params.repetition_penalty <= 2.0f)) {
    return invalid_argument("repetition_penalty must be in (0, 2], got {}", params.repetition_penalty);
  }
  if (Status status = check_range("min_p", params.min_p, 0.0f, 1.0f); !status.ok()) return status;
  if (Status status = check_range("frequency_penalty", params.frequency_penalty, -2.0f, 2.0f); !status.ok()) {
    return status;
  }
  return check_range("presence_penalty", params.presence_penalty, -2.0f, 2.0f);
}

Status check_lengths(const SamplingParams& params) {
  if (params.max_new_tokens < 0) {
    return invalid_argument("max_new_tokens must be 0 or more, got {}", params.max_new_tokens);
  }
  if (params.min_new_tokens < 0 || params.min_new_tokens > params.max_new_tokens) {
    return invalid_argument("min_new_tokens must be in [0, max_new_tokens = {}], got {}",
                            params.max_new_tokens, params.min_new_tokens);
  }
  return {};
}

Status check_tokens(const SamplingParams& params, int vocab_size) {
  if (params.stop_token_ids.size() > static_cast<size_t>(kMaxStopTokens)) {
    return invalid_argument("stop_token_ids may have {} entries, got {}", kMaxStopTokens,
                            params.stop_token_ids.size());
  }
  for (const TokenId token : params.stop_token_ids) {
    if (Status status = check_token("stop_token_ids", token, vocab_size); !status.ok()) return status;
  }
  if (params.logit_bias.size() > static_cast<size_t>(kMaxLogitBias)) {
    return invalid_argument("logit_bias may have {} entries, got {}", kMaxLogitBias,
                            params.logit_bias.size());
  }
  for (const auto& [token, bias] : params.logit_bias) {
    if (Status status = check_token("logit_bias", token, vocab_size); !status.ok()) return status;
    if (!std::isfinite(bias))
      return invalid_argument("logit_bias of token {} must be finite, got {}", token, bias);
  }
  return {};
}

}  // namespace

Status validate(const SamplingParams& params, int vocab_size) {
  if (Status status = check_ranges(params); !status.ok()) return status;
  if (Status status = check_lengths(params); !status.ok()) return status;
  return check_tokens(params, vocab_size);
}

Status validate(const LogprobParams& params, int num_prompt_tokens, int vocab_size) {
  if (!params.enabled) return {};
  if (params.start < -1 || params.start > num_prompt_tokens) {
    return invalid_argument("logprob_start_len must be in [-1, {}] (the prompt's tokens), got {}",
                            num_prompt_tokens, params.start);
  }
  if (params.top_n < 0 || params.top_n > kMaxTopLogprobs) {
    return invalid_argument("top_logprobs_num must be in [0, {}], got {}", kMaxTopLogprobs, params.top_n);
  }
  if (params.probes.size() > static_cast<size_t>(kMaxProbeTokens)) {
    return invalid_argument("token_ids_logprob may have {} entries, got {}", kMaxProbeTokens,
                            params.probes.size());
  }
  for (const TokenId token : params.probes) {
    if (Status status = check_token("token_ids_logprob", token, vocab_size); !status.ok()) return status;
  }
  return {};
}

}  // namespace musaic
