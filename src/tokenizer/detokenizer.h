#pragma once

#include <string>
#include <string_view>

#include "tokenizer/tokenizer.h"

namespace musaic {

// Turns tokens into text one by one, never half a character. The texts of all calls together are what
// Tokenizer::decode makes of all tokens. Used by one thread at a time; the tokenizer must outlive it.
class Detokenizer {
 public:
  Detokenizer(const Tokenizer& tokenizer, bool skip_special_tokens)
      : tokenizer_(&tokenizer), skip_special_tokens_(skip_special_tokens) {}

  // The characters that this token completes; ill-formed bytes become U+FFFD.
  std::string push(TokenId token);
  // What is left of a character that never got complete: U+FFFD, or nothing.
  std::string flush();

 private:
  const Tokenizer* tokenizer_;
  bool skip_special_tokens_;
  std::string pending_;  // bytes of an incomplete character, at most 3
};

}  // namespace musaic
