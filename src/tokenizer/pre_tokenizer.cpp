#include "tokenizer/pre_tokenizer.h"

#include <array>
#include <cstdint>
#include <utility>

#include "tokenizer/unicode.h"

namespace musaic {
namespace {

enum class Case { kSensitive, kInsensitive };

struct Character {
  CharacterClass kind = CharacterClass::kOther;
  uint8_t bytes = 0;  // 0: the text's end
};

Character character_at(std::string_view text, size_t offset) {
  if (offset >= text.size()) return {};
  const auto byte = static_cast<uint8_t>(text[offset]);
  if (byte < 0x80) return {kAsciiClasses[byte], 1};
  const DecodedCharacter character = decode_character(text, offset);
  return {classify(character.code_point), character.bytes};
}

bool is(Character character, CharacterClass kind) {
  return character.bytes > 0 && character.kind == kind;
}

size_t run_end(std::string_view text, size_t offset, CharacterClass kind) {
  for (Character c = character_at(text, offset); is(c, kind); c = character_at(text, offset))
    offset += c.bytes;
  return offset;
}

// Bytes of the letter `lower` at `offset`, 0 when another is there. ſ is an s without regard to case.
size_t letter_bytes(std::string_view text, size_t offset, char lower, Case rule) {
  if (offset >= text.size()) return 0;
  if (text[offset] == lower) return 1;
  if (rule == Case::kSensitive) return 0;
  if (text[offset] == lower - 'a' + 'A') return 1;
  return lower == 's' && text.substr(offset, 2) == "\u017f" ? 2 : 0;
}

// Bytes of 's 't 're 've 'm 'll 'd at `begin`, 0 when none is there.
size_t contraction_bytes(std::string_view text, size_t begin, Case rule) {
  if (text[begin] != '\'') return 0;
  constexpr std::array<std::pair<char, char>, 7> kContractions = {
      {{'s', 0}, {'t', 0}, {'r', 'e'}, {'v', 'e'}, {'m', 0}, {'l', 'l'}, {'d', 0}}};
  for (const auto& [first, second] : kContractions) {
    const size_t first_bytes = letter_bytes(text, begin + 1, first, rule);
    if (first_bytes == 0) continue;
    if (second == 0) return 1 + first_bytes;
    if (letter_bytes(text, begin + 2, second, rule) > 0) return 3;
  }
  return 0;
}

// \s+(?!\S)|\s+ : the last space of a run is left to what follows, unless it is the only one.
size_t spaces_end(std::string_view text, size_t begin) {
  size_t last = begin;
  size_t end = begin;
  for (Character c = character_at(text, end); is(c, CharacterClass::kSpace); c = character_at(text, end)) {
    last = end;
    end += c.bytes;
  }
  return end == text.size() || last == begin ? end : last;
}

size_t gpt2_end(std::string_view text, size_t begin) {
  if (const size_t bytes = contraction_bytes(text, begin, Case::kSensitive)) return begin + bytes;
  const size_t body = begin + (text[begin] == ' ' ? 1 : 0);
  const Character first = character_at(text, body);
  if (first.bytes == 0 || first.kind == CharacterClass::kSpace) return spaces_end(text, begin);
  return run_end(text, body, first.kind);
}

size_t smollm_end(std::string_view text, size_t begin) {
  const Character first = character_at(text, begin);
  if (first.kind == CharacterClass::kNumber) return begin + first.bytes;
  // Only spaces look ahead: a number after them ends the stretch.
  const size_t spaces = run_end(text, begin, CharacterClass::kSpace);
  if (spaces > begin && is(character_at(text, spaces), CharacterClass::kNumber)) return spaces;
  return gpt2_end(text, begin);
}

size_t number_end(std::string_view text, size_t begin, int max_digits) {
  size_t end = begin;
  for (int digits = 0; digits < max_digits; ++digits) {
    const Character c = character_at(text, end);
    if (!is(c, CharacterClass::kNumber)) break;
    end += c.bytes;
  }
  return end;
}

bool is_line_break(char c) {
  return c == '\r' || c == '\n';
}

// \s*[\r\n]+ : through the last line break of a run of spaces; `begin` when there is none.
size_t line_breaks_end(std::string_view text, size_t begin) {
  size_t end = run_end(text, begin, CharacterClass::kSpace);
  while (end > begin && !is_line_break(text[end - 1])) --end;
  return end;
}

size_t llama3_end(std::string_view text, size_t begin, int max_digits) {
  if (const size_t bytes = contraction_bytes(text, begin, Case::kInsensitive)) return begin + bytes;
  const Character first = character_at(text, begin);
  if (first.kind == CharacterClass::kLetter) return run_end(text, begin, CharacterClass::kLetter);
  if (first.kind == CharacterClass::kNumber) return number_end(text, begin, max_digits);
  if (!is_line_break(text[begin]) && is(character_at(text, begin + first.bytes), CharacterClass::kLetter)) {
    return run_end(text, begin + first.bytes, CharacterClass::kLetter);
  }
  const size_t body = begin + (text[begin] == ' ' ? 1 : 0);
  if (is(character_at(text, body), CharacterClass::kOther)) {
    size_t end = run_end(text, body, CharacterClass::kOther);
    while (end < text.size() && is_line_break(text[end])) ++end;
    return end;
  }
  const size_t line_breaks = line_breaks_end(text, begin);
  return line_breaks > begin ? line_breaks : spaces_end(text, begin);
}

}  // namespace

std::optional<PreTokenizer> parse_pre_tokenizer(std::string_view name) {
  if (name == "gpt2") return PreTokenizer::kGpt2;
  if (name == "smollm") return PreTokenizer::kSmollm;
  if (name == "llama3") return PreTokenizer::kLlama3;
  if (name == "qwen2") return PreTokenizer::kQwen2;
  return std::nullopt;
}

size_t piece_end(PreTokenizer pre_tokenizer, std::string_view text, size_t begin) {
  switch (pre_tokenizer) {
    case PreTokenizer::kGpt2:
      return gpt2_end(text, begin);
    case PreTokenizer::kSmollm:
      return smollm_end(text, begin);
    case PreTokenizer::kLlama3:
      return llama3_end(text, begin, 3);
    case PreTokenizer::kQwen2:
      return llama3_end(text, begin, 1);
  }
  return text.size();
}

}  // namespace musaic
