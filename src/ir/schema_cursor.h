#pragma once

#include <cctype>
#include <string>
#include <string_view>

#include "base/status.h"

namespace musaic {

// Walks over a schema's text, token by token; blanks between tokens do not matter.
class SchemaCursor {
 public:
  explicit SchemaCursor(std::string_view text) : whole_(text), text_(text) {}

  // The sentence "schema '...': expected ... at column N, got ...", at the next token.
  Status expected(std::string_view what) {
    return invalid_argument("schema '{}': expected {} at column {}, got {}", whole_, what, column(), found());
  }
  // "schema '...': ... at column N is not supported; ...", at the next token.
  Status unsupported(std::string_view what, std::string_view instead) {
    return invalid_argument("schema '{}': {} at column {} is not supported; {}", whole_, what, column(),
                            instead);
  }

  bool at_end() {
    skip_blanks();
    return text_.empty();
  }
  char peek() { return at_end() ? '\0' : text_.front(); }
  bool take(std::string_view token) {
    skip_blanks();
    if (!text_.starts_with(token)) return false;
    text_.remove_prefix(token.size());
    return true;
  }
  // The longest run of characters for which `holds`, perhaps empty.
  template <class Predicate>
  std::string_view take_while(Predicate holds) {
    const std::string_view run = next_run(holds);
    text_.remove_prefix(run.size());
    return run;
  }
  std::string_view word() { return take_while(is_word); }
  std::string_view next_word() { return next_run(is_word); }

  // To come back to: where the next token begins.
  std::string_view mark() {
    skip_blanks();
    return text_;
  }
  void go_back(std::string_view mark) { text_ = mark; }

  static bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }

 private:
  template <class Predicate>
  std::string_view next_run(Predicate holds) {
    skip_blanks();
    size_t length = 0;
    while (length < text_.size() && holds(text_[length])) ++length;
    return text_.substr(0, length);
  }
  void skip_blanks() {
    while (!text_.empty() && std::isspace(static_cast<unsigned char>(text_.front()))) text_.remove_prefix(1);
  }
  size_t column() {
    skip_blanks();
    return whole_.size() - text_.size() + 1;
  }
  std::string found() {
    if (at_end()) return "the end";
    const std::string_view next = next_word();
    return fmt::format("'{}'", next.empty() ? text_.substr(0, 1) : next);
  }

  std::string_view whole_;
  std::string_view text_;
};

}  // namespace musaic
