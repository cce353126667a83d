#include "tokenizer/tokenizer.h"

#include <algorithm>

#include "base/status.h"
#include "tokenizer/byte_pair_encoder.h"
#include "tokenizer/pre_tokenizer.h"
#include "tokenizer/special_tokens.h"
#include "tokenizer/split_steps.h"
#include "tokenizer/unicode.h"

namespace musaic {
namespace {

using Type = TokenizerData::TokenType;

TokenizerData checked(TokenizerData data) {
  if (data.tokens.empty()) fail_load("tokenizer: the vocabulary is empty");
  if (data.types.empty()) data.types.assign(data.tokens.size(), Type::kNormal);
  if (data.types.size() != data.tokens.size()) {
    fail_load("tokenizer: {} token types, expected one for each of {} tokens", data.types.size(),
              data.tokens.size());
  }
  const auto in_vocabulary = [&](TokenId token) { return token >= 0 && size_t(token) < data.tokens.size(); };
  if (data.bos && !in_vocabulary(*data.bos))
    fail_load("tokenizer: bos token {} is outside of the vocabulary", *data.bos);
  if (data.eos && !in_vocabulary(*data.eos))
    fail_load("tokenizer: eos token {} is outside of the vocabulary", *data.eos);
  return data;
}

// nullopt: by splits.
std::optional<PreTokenizer> checked_pre_tokenizer(const std::string& name) {
  if (name == "splits") return std::nullopt;
  const auto pre_tokenizer = parse_pre_tokenizer(name);
  if (!pre_tokenizer)
    fail_load("tokenizer: pre-tokenizer '{}', expected smollm, gpt2, llama3, qwen2 or splits", name);
  return pre_tokenizer;
}

bool contains(const std::vector<TokenId>& tokens, TokenId token) {
  return std::find(tokens.begin(), tokens.end(), token) != tokens.end();
}

// Where the character that ends at `end` begins. REQUIRES: end > 0.
size_t previous_character(std::string_view text, size_t end) {
  size_t begin = end - 1;
  while (begin > 0 && end - begin < 4 && (text[begin] & 0xC0) == 0x80) --begin;
  return begin;
}

bool is_space(std::string_view text, size_t offset) {
  return classify(decode_character(text, offset).code_point) == CharacterClass::kSpace;
}

}  // namespace

struct Tokenizer::State {
  explicit State(TokenizerData parts)
      : data(checked(std::move(parts))),
        pre_tokenizer(checked_pre_tokenizer(data.pre_tokenizer)),
        splits(data.split_patterns),
        encoder(data) {
    for (size_t i = 0; i < data.tokens.size(); ++i) {
      const bool user_defined = data.types[i] == Type::kUserDefined;
      if (user_defined) always_parsed.add(data.tokens[i], static_cast<TokenId>(i));
      if (user_defined || is_special(i)) all_special.add(data.tokens[i], static_cast<TokenId>(i));
    }
  }

  bool is_special(size_t token) const {
    return data.types[token] == Type::kControl || data.types[token] == Type::kUnknown;
  }

  void encode_text(std::string_view text, std::vector<TokenId>& out) const;
  void encode_plain(std::string_view text, std::vector<TokenId>& out) const;
  void widen_over_spaces(std::string_view text, size_t from, SpecialTokens::Match& match) const;

  TokenizerData data;
  std::optional<PreTokenizer> pre_tokenizer;
  SplitSteps splits;  // where there is none
  BytePairEncoder encoder;
  SpecialTokens always_parsed;
  SpecialTokens all_special;
};

// Text without special tokens.
void Tokenizer::State::encode_plain(std::string_view text, std::vector<TokenId>& out) const {
  if (!pre_tokenizer) return splits.cut(text, [&](std::string_view piece) { encoder.encode(piece, out); });
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = piece_end(*pre_tokenizer, text, begin);
    encoder.encode(text.substr(begin, end - begin), out);
    begin = end;
  }
}

void Tokenizer::State::encode_text(std::string_view text, std::vector<TokenId>& out) const {
  if (text.empty()) return;
  if (data.normalize_nfc) {
    encode_plain(normalize_nfc(text), out);
  } else {
    encode_plain(text, out);
  }
}

void Tokenizer::State::widen_over_spaces(std::string_view text, size_t from,
                                         SpecialTokens::Match& match) const {
  if (contains(data.strip_left, match.token)) {
    while (match.begin > from) {
      const size_t before = previous_character(text, match.begin);
      if (before < from || !is_space(text, before)) break;
      match.begin = before;
    }
  }
  if (contains(data.strip_right, match.token)) {
    while (match.end < text.size() && is_space(text, match.end)) {
      match.end += decode_character(text, match.end).bytes;
    }
  }
}

Tokenizer::Tokenizer(TokenizerData data) : state_(std::make_unique<const State>(std::move(data))) {}
Tokenizer::~Tokenizer() = default;

std::vector<TokenId> Tokenizer::encode(std::string_view text, const EncodeOptions& options) const {
  std::vector<TokenId> tokens;
  tokens.reserve(text.size() / 4 + 2);
  const TokenizerData& data = state_->data;
  if (options.add_special_tokens && data.add_bos && data.bos) tokens.push_back(*data.bos);
  const SpecialTokens& special = options.parse_special ? state_->all_special : state_->always_parsed;
  size_t begin = 0;
  while (auto match = special.find(text, begin)) {
    state_->widen_over_spaces(text, begin, *match);
    state_->encode_text(text.substr(begin, match->begin - begin), tokens);
    tokens.push_back(match->token);
    begin = match->end;
  }
  state_->encode_text(text.substr(begin), tokens);
  if (options.add_special_tokens && data.add_eos && data.eos) tokens.push_back(*data.eos);
  return tokens;
}

std::string Tokenizer::decode(const std::vector<TokenId>& tokens, bool skip_special_tokens) const {
  std::string bytes;
  for (const TokenId token : tokens) bytes += token_bytes(token, skip_special_tokens);
  return replace_invalid_utf8(bytes);
}

std::string_view Tokenizer::token_bytes(TokenId token, bool skip_special_tokens) const {
  if (token < 0 || token >= vocab_size() || (skip_special_tokens && is_special(token))) return {};
  return state_->encoder.bytes(token);
}

bool Tokenizer::is_special(TokenId token) const {
  return token >= 0 && token < vocab_size() && state_->is_special(static_cast<size_t>(token));
}

int Tokenizer::vocab_size() const {
  return static_cast<int>(state_->data.tokens.size());
}
const TokenizerData& Tokenizer::data() const {
  return state_->data;
}

}  // namespace musaic
