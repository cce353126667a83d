#include "tokenizer/jinja/string_literal.h"

#include <algorithm>
#include <charconv>

#include "tokenizer/jinja/limits.h"
#include "tokenizer/unicode.h"

namespace musaic::jinja {
namespace {

constexpr char32_t kLastCodePoint = 0x10FFFF;

bool is_octal(char c) {
  return c >= '0' && c <= '7';
}

char32_t read_hex(std::string_view digits, size_t count) {
  uint32_t code = 0;
  const char* end = digits.data() + std::min(count, digits.size());
  const auto [stop, error] = std::from_chars(digits.data(), end, code, 16);
  const bool is_surrogate = code >= 0xD800 && code <= 0xDFFF;
  if (digits.size() < count || stop != end || error != std::errc() || code > kLastCodePoint || is_surrogate) {
    fail("broken escape in a string: '{}'", digits.substr(0, count));
  }
  return code;
}

// Reads what follows the backslash at `offset`; returns how many characters it took.
size_t append_escape(std::string& out, std::string_view text, size_t offset) {
  const char kind = text[offset];
  const auto hex = [&](size_t digits) {
    append_utf8(out, read_hex(text.substr(offset + 1), digits));
    return digits + 1;
  };
  switch (kind) {
    case '\n':
      return 1;
    case 'a':
      out += '\a';
      return 1;
    case 'b':
      out += '\b';
      return 1;
    case 'f':
      out += '\f';
      return 1;
    case 'n':
      out += '\n';
      return 1;
    case 'r':
      out += '\r';
      return 1;
    case 't':
      out += '\t';
      return 1;
    case 'v':
      out += '\v';
      return 1;
    case '\\':
    case '\'':
    case '"':
      out += kind;
      return 1;
    case 'x':
      return hex(2);
    case 'u':
      return hex(4);
    case 'U':
      return hex(8);
    default:
      break;
  }
  size_t digits = 0;
  char32_t code = 0;
  while (digits < 3 && offset + digits < text.size() && is_octal(text[offset + digits])) {
    code = code * 8 + static_cast<char32_t>(text[offset + digits++] - '0');
  }
  if (digits > 0) {
    append_utf8(out, code);
    return digits;
  }
  out += '\\';  // an unknown escape stands for itself
  return 0;
}

}  // namespace

std::string unescape(std::string_view inside) {
  std::string out;
  for (size_t offset = 0; offset < inside.size();) {
    const char c = inside[offset++];
    if (c != '\\' || offset == inside.size()) {
      out += c;
    } else {
      offset += append_escape(out, inside, offset);
    }
  }
  return out;
}

}  // namespace musaic::jinja
