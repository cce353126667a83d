#include "ir/text_cursor.h"

#include <fmt/format.h>

#include <charconv>

#include "base/status.h"
#include "ir/spelling.h"

namespace musaic {
namespace {

constexpr size_t kLongestQuotation = 24;  // of what stands there instead, in messages

bool is_device_char(char c) {
  return is_operator_char(c);
}

bool is_word_start(std::string_view text) {
  return !text.empty() && is_name_char(text.front());
}

}  // namespace

void TextCursor::advance(size_t count) {
  for (size_t i = 0; i < count; ++i, ++next_) {
    const bool new_line = text_[next_] == '\n';
    at_.line += new_line;
    at_.column = new_line ? 1 : at_.column + 1;
  }
}

void TextCursor::skip_blanks() {
  const auto is_blank = [](char c) { return c == ' ' || c == '\t' || c == '\r'; };
  while (next_ < text_.size() && is_blank(text_[next_])) advance(1);
  if (next_ == text_.size() || text_[next_] != '#') return;
  while (next_ < text_.size() && text_[next_] != '\n') advance(1);
}

TextPosition TextCursor::position() {
  skip_blanks();
  return at_;
}

bool TextCursor::at_end() {
  skip_blanks();
  return next_ == text_.size();
}

bool TextCursor::at_end_of_line() {
  return at_end() || text_[next_] == '\n';
}

char TextCursor::peek() {
  return at_end_of_line() ? '\0' : text_[next_];
}

bool TextCursor::take(std::string_view token) {
  skip_blanks();
  if (!text_.substr(next_).starts_with(token)) return false;
  advance(token.size());
  return true;
}

bool TextCursor::take_word(std::string_view word) {
  skip_blanks();
  const std::string_view rest = text_.substr(next_);
  if (!rest.starts_with(word) || is_word_start(rest.substr(word.size()))) return false;
  advance(word.size());
  return true;
}

void TextCursor::expect(std::string_view token) {
  if (!take(token)) fail(fmt::format("'{}'", token));
}

void TextCursor::expect_word(std::string_view word) {
  if (!take_word(word)) fail(fmt::format("'{}'", word));
}

void TextCursor::end_line() {
  if (!at_end_of_line()) fail("the end of the line");
  while (!at_end() && text_[next_] == '\n') advance(1);
}

std::string_view TextCursor::take_while(bool (*holds)(char)) {
  skip_blanks();
  size_t end = next_;
  while (end < text_.size() && holds(text_[end])) ++end;
  const std::string_view taken = text_.substr(next_, end - next_);
  advance(taken.size());
  return taken;
}

std::string_view TextCursor::word() {
  return take_while(is_name_char);
}

std::string TextCursor::name(const char* what) {
  if (peek() == '\'') return string(what);
  if (!is_name_char(peek())) fail(what);
  return std::string(word());
}

std::string TextCursor::operator_name(const char* what) {
  if (peek() == '\'') return string(what);
  if (!is_operator_char(peek())) fail(what);
  const TextPosition start = at_;
  const std::string_view taken = take_while(is_operator_char);
  if (taken.find("::") == std::string_view::npos)
    fail_at(start, fmt::format("expected {}, got '{}'", what, taken));
  return std::string(taken);
}

std::string TextCursor::string(const char* what) {
  if (peek() != '\'') fail(what);
  advance(1);
  std::string out;
  while (next_ < text_.size() && text_[next_] != '\n') {
    const char c = text_[next_];
    if (c == '\'') {
      advance(1);
      return out;
    }
    out += c == '\\' ? escaped() : c;
    advance(1);
  }
  fail("a closing quote");
}

// Leaves the cursor on the escape's last character.
char TextCursor::escaped() {
  advance(1);
  switch (next_ < text_.size() ? text_[next_] : '\0') {
    case '\\':
      return '\\';
    case '\'':
      return '\'';
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    case 'x':
      return hex_byte();
    default:
      fail("one of \\, ', n, r, t or xNN after the backslash");
  }
}

char TextCursor::hex_byte() {
  const std::string_view digits = text_.substr(next_ + 1, 2);
  unsigned byte = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), byte, 16);
  if (digits.size() != 2 || error != std::errc() || end != digits.data() + 2) fail("\\x and two hex digits");
  advance(2);
  return static_cast<char>(byte);
}

std::string_view TextCursor::device() {
  skip_blanks();
  const size_t begin = next_;
  take_while(is_device_char);
  if (next_ < text_.size() && text_[next_] == '(' && begin < next_) {
    const size_t close = text_.find_first_of(")\n", next_);
    if (close == std::string_view::npos || text_[close] == '\n') fail("a closing ')' of the device");
    advance(close + 1 - next_);
  }
  return text_.substr(begin, next_ - begin);
}

std::string_view TextCursor::until(std::string_view ends) {
  skip_blanks();
  const size_t begin = next_;
  int depth = 0;
  while (next_ < text_.size() && text_[next_] != '\n' && text_[next_] != '#') {
    const char c = text_[next_];
    if (depth == 0 && ends.find(c) != std::string_view::npos) break;
    depth += c == '(' ? 1 : c == ')' ? -1 : 0;
    advance(1);
  }
  std::string_view taken = text_.substr(begin, next_ - begin);
  while (taken.ends_with(' ') || taken.ends_with('\t') || taken.ends_with('\r')) taken.remove_suffix(1);
  return taken;
}

std::string TextCursor::found() {
  if (at_end()) return "the end of the text";
  if (text_[next_] == '\n') return "the end of the line";
  const std::string_view rest = text_.substr(next_);
  size_t size = 0;
  while (size < rest.size() && size < kLongestQuotation && is_operator_char(rest[size])) ++size;
  return quote(rest.substr(0, size == 0 ? 1 : size));
}

void TextCursor::fail(std::string_view expected) {
  const std::string got = found();
  fail_at(at_, fmt::format("expected {}, got {}", expected, got));
}

void TextCursor::fail_at(TextPosition at, std::string_view message) const {
  fail_load("{}:{}:{}: {}", file_, at.line, at.column, message);
}

}  // namespace musaic
