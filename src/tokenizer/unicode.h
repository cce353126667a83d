#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace musaic {

inline constexpr char32_t kReplacementCharacter = 0xFFFD;

// One step of reading UTF-8.
struct DecodedCharacter {
  char32_t code_point = 0;
  uint8_t bytes = 0;  // 1..4 consumed
  bool valid = true;  // false: `bytes` is the longest ill-formed prefix, `code_point` is U+FFFD
};

// REQUIRES: offset < text.size().
DecodedCharacter decode_character(std::string_view text, size_t offset);

void append_utf8(std::string& out, char32_t code_point);

// How many bytes at the end of `text` are the beginning of a character that more bytes could complete: 0..3.
size_t incomplete_suffix_bytes(std::string_view text);

// Ill-formed sequences become U+FFFD, one for each longest ill-formed prefix (as Python and Rust do).
std::string replace_invalid_utf8(std::string_view bytes);

enum class CharacterClass : uint8_t { kOther, kLetter, kNumber, kSpace };

constexpr std::array<CharacterClass, 128> make_ascii_classes() {
  std::array<CharacterClass, 128> classes{};
  for (int c = 'a'; c <= 'z'; ++c) classes[c] = classes[c - 'a' + 'A'] = CharacterClass::kLetter;
  for (int c = '0'; c <= '9'; ++c) classes[c] = CharacterClass::kNumber;
  for (const int c : {' ', '\t', '\n', '\v', '\f', '\r'}) classes[c] = CharacterClass::kSpace;
  return classes;
}
inline constexpr auto kAsciiClasses = make_ascii_classes();

// \p{L}, \p{N} or Unicode White_Space.
CharacterClass classify(char32_t code_point);

// Normalization Form C of the well-formed stretches; ill-formed bytes stay as they are.
std::string normalize_nfc(std::string_view text);

}  // namespace musaic
