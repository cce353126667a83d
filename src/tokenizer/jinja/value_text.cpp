// str() and repr() as Python writes them.
#include <utf8proc.h>

#include <charconv>
#include <cmath>

#include "tokenizer/jinja/value.h"
#include "tokenizer/unicode.h"

namespace musaic::jinja {
namespace {

bool is_printable(char32_t c) {
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(c))) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
      return false;
    case UTF8PROC_CATEGORY_ZS:
      return c == ' ';
    default:
      return true;
  }
}

void append_escaped(std::string& out, char32_t c, char quote) {
  if (c == static_cast<char32_t>(quote) || c == '\\') {
    out += '\\';
    out += static_cast<char>(c);
  } else if (c == '\n') {
    out += "\\n";
  } else if (c == '\r') {
    out += "\\r";
  } else if (c == '\t') {
    out += "\\t";
  } else if (is_printable(c)) {
    append_utf8(out, c);
  } else if (c < 0x100) {
    out += fmt::format("\\x{:02x}", static_cast<uint32_t>(c));
  } else if (c < 0x10000) {
    out += fmt::format("\\u{:04x}", static_cast<uint32_t>(c));
  } else {
    out += fmt::format("\\U{:08x}", static_cast<uint32_t>(c));
  }
}

std::string text_repr(const std::string& text) {
  const bool has_single = text.find('\'') != std::string::npos;
  const char quote = has_single && text.find('"') == std::string::npos ? '"' : '\'';
  std::string out(1, quote);
  for (size_t offset = 0; offset < text.size();) {
    const DecodedCharacter c = decode_character(text, offset);
    append_escaped(out, c.code_point, quote);
    offset += c.bytes;
  }
  return out + quote;
}

void append_repr(std::string& out, const Value& value);

void append_list(std::string& out, const Sequence& sequence) {
  out += sequence.is_tuple ? '(' : '[';
  for (size_t i = 0; i < sequence.items->size(); ++i) {
    if (i > 0) out += ", ";
    append_repr(out, (*sequence.items)[i]);
  }
  if (sequence.is_tuple && sequence.items->size() == 1) out += ',';
  out += sequence.is_tuple ? ')' : ']';
}

void append_dict(std::string& out, const Dict& dict) {
  out += '{';
  for (size_t i = 0; i < dict.entries.size(); ++i) {
    if (i > 0) out += ", ";
    append_repr(out, dict.entries[i].first);
    out += ": ";
    append_repr(out, dict.entries[i].second);
  }
  out += '}';
}

void append_repr(std::string& out, const Value& value) {
  if (value.is_undefined()) {
    out += "Undefined";
  } else if (value.is_none()) {
    out += "None";
  } else if (const bool* flag = value.get_if<bool>()) {
    out += *flag ? "True" : "False";
  } else if (value.is_integer()) {
    out += std::to_string(value.integer());
  } else if (value.is_number()) {
    out += number_repr(value.number());
  } else if (value.is_text()) {
    out += text_repr(value.text());
  } else if (const Sequence* sequence = value.get_if<Sequence>()) {
    append_list(out, *sequence);
  } else if (value.is_dict()) {
    append_dict(out, value.dict());
  } else {
    out += fmt::format("<{}>", type_name(value));
  }
  check_value_bytes(out.size());
}

}  // namespace

// The shortest digits that read back as the same number, in Python's choice of notation.
std::string number_repr(double number) {
  if (std::isnan(number)) return "nan";
  if (std::isinf(number)) return number < 0 ? "-inf" : "inf";
  constexpr double kExponentFrom = 1e16;
  constexpr double kExponentBelow = 1e-4;
  const double size = std::fabs(number);
  const bool exponent = size != 0 && (size >= kExponentFrom || size < kExponentBelow);
  char buffer[64];
  const auto format = exponent ? std::chars_format::scientific : std::chars_format::fixed;
  const auto end = std::to_chars(buffer, buffer + sizeof(buffer), number, format).ptr;
  std::string text(buffer, end);
  if (!exponent && text.find('.') == std::string::npos) text += ".0";
  return text;
}

std::string to_repr(const Value& value) {
  std::string out;
  append_repr(out, value);
  return out;
}

std::string to_text(const Value& value) {
  if (value.is_text()) return value.text();
  if (value.is_undefined()) return "";
  return to_repr(value);
}

}  // namespace musaic::jinja
