#include "tokenizer/jinja/lexer.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

#include "tokenizer/jinja/limits.h"
#include "tokenizer/jinja/string_literal.h"
#include "tokenizer/jinja/text.h"
#include "tokenizer/unicode.h"

namespace musaic::jinja {
namespace {

using Kind = Token::Kind;
constexpr size_t npos = std::string_view::npos;

// Line ends become \n and one at the very end is dropped.
std::string normalize_lines(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      out += source[i];
    } else if (i + 1 >= source.size() || source[i + 1] != '\n') {
      out += '\n';
    }
  }
  if (out.ends_with('\n')) out.pop_back();
  return out;
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_name_start(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}
bool is_name_character(char c) {
  return is_name_start(c) || is_digit(c);
}

class Lexer {
 public:
  explicit Lexer(std::string source) : source_(std::move(source)), text_(source_) {}

  std::vector<Token> run() {
    while (position_ < text_.size()) read_root();
    add(Kind::kEnd, "");
    return std::move(tokens_);
  }

 private:
  enum class Trim { kNone, kLineBreak, kAll };  // of the white space that follows a tag

  void add(Kind kind, std::string text) { tokens_.push_back({kind, std::move(text), line_}); }
  bool at(std::string_view expected) const { return text_.substr(position_).starts_with(expected); }
  char peek(size_t ahead = 0) const {
    return position_ + ahead < text_.size() ? text_[position_ + ahead] : '\0';
  }

  void advance_to(size_t position) {
    line_ += static_cast<int>(std::count(text_.begin() + position_, text_.begin() + position, '\n'));
    position_ = position;
  }

  size_t skip_spaces(size_t position) const {
    while (position < text_.size()) {
      const DecodedCharacter c = decode_character(text_, position);
      if (!is_python_space(c.code_point)) break;
      position += c.bytes;
    }
    return position;
  }

  // Ends a tag at `end`, with what `trim` takes after it.
  void end_tag(size_t end, Trim trim) {
    if (trim == Trim::kAll) end = skip_spaces(end);
    if (trim == Trim::kLineBreak && end < text_.size() && text_[end] == '\n') ++end;
    advance_to(end);
    line_starts_ = end > 0 && text_[end - 1] == '\n';
  }

  void read_root();
  void add_data(std::string_view data, char sign, bool strips_line);
  void read_comment(size_t begin);
  std::optional<size_t> raw_body(size_t tag) const;
  void read_raw(size_t body);
  void read_tag(bool is_block);
  bool read_tag_end(bool is_block);
  void read_token();
  void read_string();
  void read_number();
  void read_operator();

  std::string source_;
  std::string_view text_;
  size_t position_ = 0;
  int line_ = 1;
  bool line_starts_ = true;  // the data that comes next begins a line
  std::string open_;         // brackets within the tag
  std::vector<Token> tokens_;
};

size_t find_tag(std::string_view text, size_t from) {
  for (size_t at = text.find('{', from); at != npos; at = text.find('{', at + 1)) {
    const char next = at + 1 < text.size() ? text[at + 1] : '\0';
    if (next == '{' || next == '%' || next == '#') return at;
  }
  return npos;
}

char sign_of(char c) {
  return c == '-' || c == '+' ? c : '\0';
}

void Lexer::read_root() {
  const size_t begin = find_tag(text_, position_);
  if (begin == npos) {
    add(Kind::kData, std::string(text_.substr(position_)));
    advance_to(text_.size());
    return;
  }
  const char kind = text_[begin + 1];
  const char sign = begin + 2 < text_.size() ? sign_of(text_[begin + 2]) : '\0';
  add_data(text_.substr(position_, begin - position_), sign, kind != '{');
  const std::optional<size_t> raw = kind == '%' ? raw_body(begin) : std::nullopt;
  advance_to(begin + (sign ? 3 : 2));
  if (raw) {
    read_raw(*raw);
  } else if (kind == '#') {
    read_comment(position_);
  } else {
    add(kind == '%' ? Kind::kBlockBegin : Kind::kVariableBegin, "");
    read_tag(kind == '%');
  }
}

// Data before a tag: '-' strips all white space at its end, else a block or comment alone on its line strips
// the white space before it, which '+' prevents.
void Lexer::add_data(std::string_view data, char sign, bool strips_line) {
  std::string_view kept = data;
  if (sign == '-') {
    kept = strip(data, Side::kRight);
  } else if (sign != '+' && strips_line) {
    const size_t line_break = data.rfind('\n');
    const size_t line = line_break == npos ? 0 : line_break + 1;
    if ((line > 0 || line_starts_) && strip(data.substr(line)).empty()) kept = data.substr(0, line);
  }
  if (!kept.empty()) add(Kind::kData, std::string(kept));
}

void Lexer::read_comment(size_t begin) {
  if (begin == text_.size()) return;  // as Jinja has it
  const size_t end = text_.find("#}", begin);
  if (end == npos) fail("line {}: a comment has no end", line_);
  const char sign = end > begin ? sign_of(text_[end - 1]) : '\0';
  end_tag(end + 2, sign == '-' ? Trim::kAll : sign == '+' ? Trim::kNone : Trim::kLineBreak);
}

// Where the text of `{% raw %}` begins, when that is the tag.
std::optional<size_t> Lexer::raw_body(size_t tag) const {
  size_t at = tag + 2;
  if (at < text_.size() && sign_of(text_[at])) ++at;
  at = skip_spaces(at);
  if (!text_.substr(at).starts_with("raw")) return std::nullopt;
  at = skip_spaces(at + 3);
  if (text_.substr(at).starts_with("-%}")) return skip_spaces(at + 3);
  if (text_.substr(at).starts_with("%}")) return at + 2;
  return std::nullopt;
}

void Lexer::read_raw(size_t body) {
  advance_to(body);
  line_starts_ = body > 0 && text_[body - 1] == '\n';
  for (size_t tag = text_.find("{%", body); tag != npos; tag = text_.find("{%", tag + 2)) {
    size_t at = tag + 2;
    const char sign = at < text_.size() ? sign_of(text_[at]) : '\0';
    at = skip_spaces(at + (sign ? 1 : 0));
    if (!text_.substr(at).starts_with("endraw")) continue;
    at = skip_spaces(at + 6);
    const char end_sign = at < text_.size() ? sign_of(text_[at]) : '\0';
    if (end_sign) ++at;
    if (!text_.substr(at).starts_with("%}")) continue;
    add_data(text_.substr(body, tag - body), sign, true);
    return end_tag(at + 2, end_sign == '-' ? Trim::kAll : end_sign == '+' ? Trim::kNone : Trim::kLineBreak);
  }
  fail("line {}: a raw block has no end", line_);
}

void Lexer::read_tag(bool is_block) {
  open_.clear();
  for (;;) {
    advance_to(skip_spaces(position_));
    if (position_ >= text_.size()) fail("line {}: a tag has no end", line_);
    if (open_.empty() && read_tag_end(is_block)) return;
    read_token();
  }
}

bool Lexer::read_tag_end(bool is_block) {
  const std::string_view end = is_block ? "%}" : "}}";
  const char sign = sign_of(peek());
  const bool plain = at(end);
  const bool is_signed =
      (sign == '-' || (sign == '+' && is_block)) && text_.substr(position_ + 1).starts_with(end);
  if (!plain && !is_signed) return false;
  add(is_block ? Kind::kBlockEnd : Kind::kVariableEnd, "");
  const Trim unsigned_trim = is_block ? Trim::kLineBreak : Trim::kNone;
  const Trim trim = plain ? unsigned_trim : sign == '-' ? Trim::kAll : Trim::kNone;
  end_tag(position_ + end.size() + (plain ? 0 : 1), trim);
  return true;
}

void Lexer::read_token() {
  const char c = peek();
  if (is_name_start(c)) {
    size_t end = position_;
    while (end < text_.size() && is_name_character(text_[end])) ++end;
    add(Kind::kName, std::string(text_.substr(position_, end - position_)));
    advance_to(end);
  } else if (is_digit(c)) {
    read_number();
  } else if (c == '\'' || c == '"') {
    read_string();
  } else {
    read_operator();
  }
}

void Lexer::read_string() {
  const char quote = peek();
  size_t end = position_ + 1;
  while (end < text_.size() && text_[end] != quote) end += text_[end] == '\\' ? 2 : 1;
  if (end >= text_.size()) fail("line {}: a string has no end", line_);
  add(Kind::kString, unescape(text_.substr(position_ + 1, end - position_ - 1)));
  advance_to(end + 1);
}

void Lexer::read_number() {
  size_t end = position_;
  const auto skip_digits = [&] {
    while (end < text_.size() && (is_digit(text_[end]) ||
                                  (text_[end] == '_' && end + 1 < text_.size() && is_digit(text_[end + 1]))))
      ++end;
  };
  const auto digit_at = [&](size_t at) { return at < text_.size() && is_digit(text_[at]); };
  skip_digits();
  bool is_float = false;
  const bool after_dot =
      !tokens_.empty() && tokens_.back().kind == Kind::kOperator && tokens_.back().text == ".";
  if (!after_dot && end < text_.size() && text_[end] == '.' && digit_at(end + 1)) {
    is_float = true;
    ++end;
    skip_digits();
  }
  if (!after_dot && end < text_.size() && (text_[end] == 'e' || text_[end] == 'E')) {
    const size_t digits = end + 1 + (end + 1 < text_.size() && sign_of(text_[end + 1]) ? 1 : 0);
    if (digit_at(digits)) {
      is_float = true;
      end = digits;
      skip_digits();
    }
  }
  std::string digits(text_.substr(position_, end - position_));
  std::erase(digits, '_');
  add(is_float ? Kind::kFloat : Kind::kInteger, std::move(digits));
  advance_to(end);
}

void Lexer::read_operator() {
  constexpr std::array<std::string_view, 26> kOperators = {"//", "**", "==", "!=", ">=", "<=", "+", "-", "/",
                                                           "*",  "%",  "~",  "[",  "]",  "(",  ")", "{", "}",
                                                           ">",  "<",  "=",  ".",  ":",  "|",  ",", ";"};
  const auto found =
      std::find_if(kOperators.begin(), kOperators.end(), [&](std::string_view op) { return at(op); });
  if (found == kOperators.end()) fail("line {}: unexpected character '{}'", line_, peek());
  const char c = found->front();
  if (c == '(' || c == '[' || c == '{') open_ += c;
  if (c == ')' || c == ']' || c == '}') {
    const char opening = c == ')' ? '(' : c == ']' ? '[' : '{';
    if (open_.empty() || open_.back() != opening) fail("line {}: unexpected '{}'", line_, c);
    open_.pop_back();
  }
  add(Kind::kOperator, std::string(*found));
  advance_to(position_ + found->size());
}

}  // namespace

std::vector<Token> tokenize(std::string_view source) {
  return Lexer(normalize_lines(source)).run();
}

}  // namespace musaic::jinja
