#include "tokenizer/detokenizer.h"

#include <utility>

#include "tokenizer/unicode.h"

namespace musaic {

std::string Detokenizer::push(TokenId token) {
  std::string bytes = std::exchange(pending_, {});
  bytes += tokenizer_->token_bytes(token, skip_special_tokens_);
  const size_t complete = bytes.size() - incomplete_suffix_bytes(bytes);
  pending_ = bytes.substr(complete);
  bytes.resize(complete);
  return replace_invalid_utf8(bytes);
}

std::string Detokenizer::flush() {
  return replace_invalid_utf8(std::exchange(pending_, {}));
}

}  // namespace musaic
