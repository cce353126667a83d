#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "request/request.h"

namespace musaic {

// What a tokenizer is made of, whichever file it came from.
struct TokenizerData {
  enum class TokenType : uint8_t { kNormal, kUnknown, kControl, kUserDefined, kUnused, kByte };

  std::vector<std::string> tokens;  // by id; byte-level alphabet for normal ones, plain text for special ones
  std::vector<TokenType> types;     // by id
  std::vector<std::string> merges;  // "left right", best first
  std::string pre_tokenizer;        // "smollm", "gpt2", "llama3", "qwen2"; "splits": split_patterns
  std::vector<std::string> split_patterns;  // of "splits" (split_steps.h)
  bool ignore_merges = false;        // a piece of text that is a token as a whole is not merged (llama3)
  bool normalize_nfc = false;        // Unicode normalization form C comes first (qwen2)
  std::vector<TokenId> strip_left;   // special tokens that swallow the white space before them
  std::vector<TokenId> strip_right;  // and after them
  bool add_bos = false;
  bool add_eos = false;
  std::optional<TokenId> bos;
  std::optional<TokenId> eos;
  std::string chat_template;  // Jinja source, empty when there is none
};

struct EncodeOptions {
  bool parse_special = true;       // special tokens' text becomes their id; otherwise it is ordinary text
  bool add_special_tokens = true;  // bos and eos, where the model wants them
};

// Byte-level BPE. Immutable; safe from any thread.
class Tokenizer {
 public:
  // Throws LoadError when the parts do not fit together.
  explicit Tokenizer(TokenizerData data);
  ~Tokenizer();

  // Bytes that have no token are dropped. User-defined tokens are found in any text, control tokens with
  // parse_special only.
  std::vector<TokenId> encode(std::string_view text, const EncodeOptions& options = {}) const;
  // Bytes of the tokens; invalid UTF-8 becomes U+FFFD. Ids outside of the vocabulary have no bytes.
  std::string decode(const std::vector<TokenId>& tokens, bool skip_special_tokens = true) const;
  // The raw bytes of one token, possibly part of a character; empty for a skipped special token.
  std::string_view token_bytes(TokenId token, bool skip_special_tokens) const;
  bool is_special(TokenId token) const;
  int vocab_size() const;
  const TokenizerData& data() const;

 private:
  struct State;
  std::unique_ptr<const State> state_;
};

}  // namespace musaic
