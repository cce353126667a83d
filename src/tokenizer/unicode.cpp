#include "tokenizer/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdlib>
#include <memory>

#include "base/check.h"

namespace musaic {
namespace {

constexpr bool is_continuation(uint8_t byte) {
  return (byte & 0xC0) == 0x80;
}

struct LeadByte {
  int length = 0;             // 0: cannot begin a character
  uint8_t second_min = 0x80;  // bounds of the second byte shut out overlong forms, surrogates, > U+10FFFF
  uint8_t second_max = 0xBF;
};

constexpr LeadByte lead_byte(uint8_t byte) {
  if (byte < 0x80) return {.length = 1};
  if (byte < 0xC2) return {};
  if (byte < 0xE0) return {.length = 2};
  if (byte == 0xE0) return {.length = 3, .second_min = 0xA0};
  if (byte == 0xED) return {.length = 3, .second_max = 0x9F};
  if (byte < 0xF0) return {.length = 3};
  if (byte == 0xF0) return {.length = 4, .second_min = 0x90};
  if (byte < 0xF4) return {.length = 4};
  if (byte == 0xF4) return {.length = 4, .second_max = 0x8F};
  return {};
}

// Length of the longest prefix of a character at `offset`, never past the text's end.
int well_formed_prefix(std::string_view text, size_t offset, const LeadByte& lead) {
  const int available = static_cast<int>(std::min<size_t>(lead.length, text.size() - offset));
  int length = 1;
  while (length < available) {
    const auto byte = static_cast<uint8_t>(text[offset + length]);
    const bool fits =
        length == 1 ? byte >= lead.second_min && byte <= lead.second_max : is_continuation(byte);
    if (!fits) break;
    ++length;
  }
  return length;
}

bool is_white_space(char32_t c) {
  return c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 ||
         c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

std::string compose(std::string_view well_formed) {
  utf8proc_uint8_t* composed = nullptr;
  const auto options = static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE);
  const utf8proc_ssize_t size =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(well_formed.data()),
                   static_cast<utf8proc_ssize_t>(well_formed.size()), &composed, options);
  CHECK(size >= 0, "utf8proc: {}", utf8proc_errmsg(size));
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(composed, &std::free);
  return std::string(reinterpret_cast<const char*>(composed), static_cast<size_t>(size));
}

}  // namespace

DecodedCharacter decode_character(std::string_view text, size_t offset) {
  const auto first = static_cast<uint8_t>(text[offset]);
  if (first < 0x80) return {first, 1, true};
  const LeadByte lead = lead_byte(first);
  const int length = well_formed_prefix(text, offset, lead);
  if (length != lead.length) return {kReplacementCharacter, static_cast<uint8_t>(length), false};
  char32_t code_point = first & (0xFF >> (lead.length + 1));
  for (int i = 1; i < length; ++i)
    code_point = code_point << 6 | (static_cast<uint8_t>(text[offset + i]) & 0x3F);
  return {code_point, static_cast<uint8_t>(length), true};
}

void append_utf8(std::string& out, char32_t c) {
  const auto tail = [&](int shift) { out += static_cast<char>(0x80 | (c >> shift & 0x3F)); };
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xC0 | c >> 6);
    tail(0);
  } else if (c < 0x10000) {
    out += static_cast<char>(0xE0 | c >> 12);
    tail(6);
    tail(0);
  } else {
    out += static_cast<char>(0xF0 | c >> 18);
    tail(12);
    tail(6);
    tail(0);
  }
}

size_t incomplete_suffix_bytes(std::string_view text) {
  for (size_t back = 1; back <= std::min<size_t>(3, text.size()); ++back) {
    const size_t offset = text.size() - back;
    const auto byte = static_cast<uint8_t>(text[offset]);
    if (is_continuation(byte)) continue;
    const LeadByte lead = lead_byte(byte);
    const bool could_go_on = lead.length > static_cast<int>(back);
    return could_go_on && well_formed_prefix(text, offset, lead) == static_cast<int>(back) ? back : 0;
  }
  return 0;
}

std::string replace_invalid_utf8(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size());
  for (size_t offset = 0; offset < bytes.size();) {
    const DecodedCharacter character = decode_character(bytes, offset);
    if (character.valid) {
      text.append(bytes, offset, character.bytes);
    } else {
      append_utf8(text, kReplacementCharacter);
    }
    offset += character.bytes;
  }
  return text;
}

CharacterClass classify(char32_t code_point) {
  if (code_point < 0x80) return kAsciiClasses[code_point];
  if (is_white_space(code_point)) return CharacterClass::kSpace;
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(code_point))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
      return CharacterClass::kLetter;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
      return CharacterClass::kNumber;
    default:
      return CharacterClass::kOther;
  }
}

std::string normalize_nfc(std::string_view text) {
  const auto is_ascii = [](char byte) { return static_cast<uint8_t>(byte) < 0x80; };
  if (std::all_of(text.begin(), text.end(), is_ascii)) return std::string(text);
  std::string normalized;
  size_t begin = 0;
  const auto flush = [&](size_t end) {
    if (end > begin) normalized += compose(text.substr(begin, end - begin));
  };
  for (size_t offset = 0; offset < text.size();) {
    const DecodedCharacter character = decode_character(text, offset);
    if (!character.valid) {
      flush(offset);
      normalized.append(text, offset, character.bytes);
      begin = offset + character.bytes;
    }
    offset += character.bytes;
  }
  flush(text.size());
  return normalized;
}

}  // namespace musaic
