#pragma once

#include <algorithm>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tokenizer/jinja/lexer.h"
#include "tokenizer/jinja/limits.h"

namespace musaic::jinja {

// Reads tokens one after the other. The last one, kEnd, is never passed.
class TokenStream {
 public:
  explicit TokenStream(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  const Token& current() const { return tokens_[position_]; }
  const Token& look_ahead() const { return tokens_[std::min(position_ + 1, tokens_.size() - 1)]; }
  int line() const { return current().line; }

  bool at(Token::Kind kind) const { return current().kind == kind; }
  bool at_operator(std::string_view text) const {
    return at(Token::Kind::kOperator) && current().text == text;
  }
  bool at_name(std::string_view text) const { return at(Token::Kind::kName) && current().text == text; }
  bool at_any_name(std::initializer_list<std::string_view> names) const {
    return std::any_of(names.begin(), names.end(), [&](std::string_view name) { return at_name(name); });
  }

  Token next() {
    Token token = current();
    if (position_ + 1 < tokens_.size()) ++position_;
    return token;
  }
  bool skip_operator(std::string_view text) {
    const bool found = at_operator(text);
    if (found) next();
    return found;
  }
  bool skip_name(std::string_view text) {
    const bool found = at_name(text);
    if (found) next();
    return found;
  }
  void expect_operator(std::string_view text) {
    if (!skip_operator(text)) unexpected(text);
  }
  void expect_name(std::string_view text) {
    if (!skip_name(text)) unexpected(text);
  }
  Token expect(Token::Kind kind, std::string_view words) {
    if (!at(kind)) unexpected(words);
    return next();
  }
  [[noreturn]] void unexpected(std::string_view expected) const {
    const bool has_text = !current().text.empty() && !at(Token::Kind::kData);
    fail("line {}: expected {}, got {}", line(), expected,
         has_text ? "'" + current().text + "'" : end_of_what());
  }

 private:
  std::string end_of_what() const {
    if (at(Token::Kind::kEnd)) return "the end of the template";
    return at(Token::Kind::kBlockEnd) || at(Token::Kind::kVariableEnd) ? "the end of the tag" : "text";
  }

  std::vector<Token> tokens_;
  size_t position_ = 0;
};

}  // namespace musaic::jinja
