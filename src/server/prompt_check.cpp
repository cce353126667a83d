#include "server/prompt_check.h"

#include <fmt/format.h>

#include <algorithm>

#include "tokenizer/tokenizer.h"

namespace musaic {
namespace {

using Check = std::optional<ApiError>;

Check error(std::string param, std::string message) {
  return ApiError{.message = std::move(message), .param = std::move(param)};
}

Check encode(PromptSpec& prompt, const PromptLimits& limits) {
  if (!prompt.is_text) return std::nullopt;
  if (!limits.tokenizer)
    return error("text", "text: the server runs without a tokenizer (--skip-tokenizer-init); send input_ids");
  if (prompt.text.size() >
      static_cast<size_t>(limits.context_length) * limits.max_token_bytes) {  // spare the work
    return error("prompt", fmt::format("the prompt has {} bytes, more than the context of {} tokens can hold",
                                       prompt.text.size(), limits.context_length));
  }
  prompt.ids = limits.tokenizer->encode(
      prompt.text, {.parse_special = true, .add_special_tokens = prompt.add_special_tokens});
  return std::nullopt;
}

Check unknown_token(const char* name, TokenId id, const PromptLimits& limits) {
  if (id >= 0 && id < limits.vocab_size) return std::nullopt;
  return error(name, fmt::format("{}: token id {} is not in the vocabulary of {} tokens", name, id,
                                 limits.vocab_size));
}

Check check_tokens(const PromptSpec& prompt, const PromptLimits& limits) {
  if (prompt.ids.empty()) return error("prompt", "the prompt has no tokens");
  for (const TokenId id : prompt.ids) {
    if (auto bad = unknown_token("input_ids", id, limits)) return bad;
  }
  for (const TokenId id : prompt.sampling.stop_token_ids) {
    if (auto bad = unknown_token("stop_token_ids", id, limits)) return bad;
  }
  for (const TokenId id : prompt.logprobs.probes) {
    if (auto bad = unknown_token("token_ids_logprob", id, limits)) return bad;
  }
  for (const auto& [id, bias] : prompt.sampling.logit_bias) {
    if (auto bad = unknown_token("logit_bias", id, limits)) return bad;
  }
  return std::nullopt;
}

Check check_lengths(PromptSpec& prompt, const PromptLimits& limits) {
  SamplingParams& sampling = prompt.sampling;
  const int length = static_cast<int>(prompt.ids.size());
  if (!prompt.max_new_tokens_given) sampling.max_new_tokens = std::max(limits.context_length - length, 1);
  if (static_cast<int64_t>(length) + sampling.max_new_tokens > limits.context_length) {
    return error(limits.max_tokens_name,
                 fmt::format("the prompt's {} tokens and {} {} together exceed the context of {} tokens",
                             length, limits.max_tokens_name, sampling.max_new_tokens, limits.context_length));
  }
  if (sampling.min_new_tokens > sampling.max_new_tokens) {
    return error("min_tokens", fmt::format("min_tokens {} is more than {} {}", sampling.min_new_tokens,
                                           limits.max_tokens_name, sampling.max_new_tokens));
  }
  if (prompt.logprobs.start > length) {
    return error("logprob_start_len", fmt::format("logprob_start_len {} is beyond the prompt's {} tokens",
                                                  prompt.logprobs.start, length));
  }
  return std::nullopt;
}

}  // namespace

std::optional<ApiError> prepare_prompt(PromptSpec& prompt, const PromptLimits& limits) {
  if (auto bad = encode(prompt, limits)) return bad;
  if (auto bad = check_tokens(prompt, limits)) return bad;
  return check_lengths(prompt, limits);
}

}  // namespace musaic
