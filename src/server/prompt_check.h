#pragma once

#include <optional>
#include <string>

#include "server/api_error.h"
#include "server/generation_spec.h"

namespace musaic {

class Tokenizer;

struct PromptLimits {
  const Tokenizer* tokenizer = nullptr;  // nullptr with --skip-tokenizer-init
  int context_length = 0;
  int vocab_size = 0;
  size_t max_token_bytes = 0;   // of the longest token's text
  std::string max_tokens_name;  // how the route calls it
};

// Encodes the prompt where it is text, fills in max_new_tokens where it was not given, and checks what needs
// the tokenizer and the model's sizes.
std::optional<ApiError> prepare_prompt(PromptSpec& prompt, const PromptLimits& limits);

}  // namespace musaic
