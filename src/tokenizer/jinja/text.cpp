#include "tokenizer/jinja/text.h"

#include <utf8proc.h>

#include <algorithm>

#include "tokenizer/jinja/limits.h"
#include "tokenizer/unicode.h"

namespace musaic::jinja {
namespace {

bool is_continuation(char byte) {
  return (byte & 0xC0) == 0x80;
}

size_t last_character(std::string_view text) {
  size_t begin = text.size() - 1;
  while (begin > 0 && is_continuation(text[begin])) --begin;
  return begin;
}

bool is_stripped(std::string_view character, std::string_view set) {
  if (set.empty()) return is_python_space(decode_character(character, 0).code_point);
  const auto members = characters_of(set);
  return std::find(members.begin(), members.end(), character) != members.end();
}

bool is_cased(char32_t c) {
  const auto character = static_cast<utf8proc_int32_t>(c);
  const auto category = utf8proc_category(character);
  return category == UTF8PROC_CATEGORY_LU || category == UTF8PROC_CATEGORY_LL ||
         category == UTF8PROC_CATEGORY_LT;
}

void append_upper(std::string& out, char32_t c) {
  constexpr char32_t kSharpS = 0xDF;
  if (c == kSharpS) {
    out += "SS";
  } else {
    append_utf8(out, static_cast<char32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(c))));
  }
}

void append_lower(std::string& out, char32_t c) {
  constexpr char32_t kDottedI = 0x130;
  if (c == kDottedI) {
    out += "i\u0307";
    return;
  }
  append_utf8(out, static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c))));
}

void append_title(std::string& out, char32_t c) {
  append_utf8(out, static_cast<char32_t>(utf8proc_totitle(static_cast<utf8proc_int32_t>(c))));
}

template <class Append>
std::string map_characters(std::string_view text, Append append) {
  std::string out;
  out.reserve(text.size());
  for (size_t offset = 0; offset < text.size();) {
    const DecodedCharacter c = decode_character(text, offset);
    append(out, c.code_point);
    offset += c.bytes;
  }
  return out;
}

std::string capitalize_after(std::string_view text, auto begins_word) {
  bool at_beginning = true;
  return map_characters(text, [&](std::string& out, char32_t c) {
    if (at_beginning) {
      append_title(out, c);
    } else {
      append_lower(out, c);
    }
    at_beginning = begins_word(c);
  });
}

size_t space_end(std::string_view text, size_t offset) {
  while (offset < text.size()) {
    const DecodedCharacter c = decode_character(text, offset);
    if (!is_python_space(c.code_point)) break;
    offset += c.bytes;
  }
  return offset;
}

size_t word_end(std::string_view text, size_t offset) {
  while (offset < text.size()) {
    const DecodedCharacter c = decode_character(text, offset);
    if (is_python_space(c.code_point)) break;
    offset += c.bytes;
  }
  return offset;
}

}  // namespace

bool is_python_space(char32_t c) {
  return (c >= 0x1C && c <= 0x1F) || classify(c) == CharacterClass::kSpace;
}

std::string_view strip(std::string_view text, Side side, std::string_view set) {
  while (side != Side::kRight && !text.empty()) {
    const size_t bytes = decode_character(text, 0).bytes;
    if (!is_stripped(text.substr(0, bytes), set)) break;
    text.remove_prefix(bytes);
  }
  while (side != Side::kLeft && !text.empty()) {
    const size_t begin = last_character(text);
    if (!is_stripped(text.substr(begin), set)) break;
    text = text.substr(0, begin);
  }
  return text;
}

size_t count_characters(std::string_view text) {
  size_t count = 0;
  for (size_t offset = 0; offset < text.size(); ++count) offset += decode_character(text, offset).bytes;
  return count;
}

std::vector<std::string_view> characters_of(std::string_view text) {
  std::vector<std::string_view> characters;
  for (size_t offset = 0; offset < text.size();) {
    const size_t bytes = decode_character(text, offset).bytes;
    if (characters.size() == kMaxItems) fail("a text of more than {} characters is taken apart", kMaxItems);
    characters.push_back(text.substr(offset, bytes));
    offset += bytes;
  }
  return characters;
}

std::string upper(std::string_view text) {
  return map_characters(text, append_upper);
}
std::string lower(std::string_view text) {
  return map_characters(text, append_lower);
}

std::string capitalize(std::string_view text) {
  return capitalize_after(text, [](char32_t) { return false; });
}

std::string title(std::string_view text) {
  return capitalize_after(text, [](char32_t c) { return !is_cased(c); });
}

std::string title_words(std::string_view text) {
  return capitalize_after(text, [](char32_t c) {
    return c == '-' || c == '(' || c == '{' || c == '[' || c == '<' || is_python_space(c);
  });
}

std::string replace(std::string_view text, std::string_view from, std::string_view to, int64_t limit) {
  std::string out;
  size_t begin = 0;
  for (int64_t done = 0; limit < 0 || done < limit; ++done) {
    size_t found = begin;
    if (from.empty()) {  // between all characters
      if (done > 0 && begin >= text.size()) break;
      if (done > 0) found = begin + decode_character(text, begin).bytes;
    } else {
      found = text.find(from, begin);
    }
    if (found == std::string_view::npos) break;
    out.append(text, begin, found - begin);
    out += to;
    check_value_bytes(out.size());
    begin = found + from.size();
  }
  out.append(text.substr(std::min(begin, text.size())));
  check_value_bytes(out.size());
  return out;
}

std::string repeat(std::string_view text, int64_t times) {
  if (times <= 0 || text.empty()) return "";
  if (static_cast<uint64_t>(times) > kMaxValueBytes) check_value_bytes(kMaxValueBytes + 1);
  check_value_bytes(text.size() * static_cast<size_t>(times));
  std::string out;
  out.reserve(text.size() * times);
  for (int64_t i = 0; i < times; ++i) out += text;
  return out;
}

std::vector<std::string> split(std::string_view text, int64_t limit) {
  std::vector<std::string> parts;
  size_t begin = space_end(text, 0);
  while (begin < text.size()) {
    if (limit >= 0 && static_cast<int64_t>(parts.size()) == limit) {
      parts.emplace_back(strip(text.substr(begin), Side::kRight));
      break;
    }
    const size_t end = word_end(text, begin);
    parts.emplace_back(text.substr(begin, end - begin));
    begin = space_end(text, end);
  }
  return parts;
}

std::vector<std::string> split_at(std::string_view text, std::string_view separator, int64_t limit) {
  if (separator.empty()) fail("split: empty separator");
  std::vector<std::string> parts;
  size_t begin = 0;
  while (limit < 0 || static_cast<int64_t>(parts.size()) < limit) {
    const size_t end = text.find(separator, begin);
    if (end == std::string_view::npos) break;
    parts.emplace_back(text.substr(begin, end - begin));
    begin = end + separator.size();
  }
  parts.emplace_back(text.substr(begin));
  return parts;
}

std::vector<std::string> split_at_from_right(std::string_view text, std::string_view separator,
                                             int64_t limit) {
  if (separator.empty()) fail("rsplit: empty separator");
  std::vector<std::string> parts;
  size_t end = text.size();
  while (limit < 0 || static_cast<int64_t>(parts.size()) < limit) {
    if (end < separator.size()) break;
    const size_t begin = text.rfind(separator, end - separator.size());
    if (begin == std::string_view::npos) break;
    parts.emplace_back(text.substr(begin + separator.size(), end - begin - separator.size()));
    end = begin;
  }
  parts.emplace_back(text.substr(0, end));
  std::reverse(parts.begin(), parts.end());
  return parts;
}

std::vector<std::string> split_from_right(std::string_view text, int64_t limit) {
  std::vector<std::string> words = split(text);
  if (limit < 0 || static_cast<int64_t>(words.size()) <= limit) return words;
  std::vector<std::string> parts;
  std::string_view rest = strip(text, Side::kRight);
  for (int64_t i = 0; i < limit; ++i) {
    const std::string& word = words[words.size() - 1 - i];
    parts.push_back(word);
    rest = strip(rest.substr(0, rest.size() - word.size()), Side::kRight);
  }
  parts.emplace_back(strip(rest, Side::kLeft));
  std::reverse(parts.begin(), parts.end());
  return parts;
}

std::vector<std::string> split_lines(std::string_view text, bool keep_ends) {
  const auto breaks_line = [](char32_t c) {
    return (c >= '\n' && c <= '\r') || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 || c == 0x2029;
  };
  std::vector<std::string> lines;
  size_t begin = 0;
  for (size_t offset = 0; offset < text.size();) {
    const DecodedCharacter c = decode_character(text, offset);
    if (!breaks_line(c.code_point)) {
      offset += c.bytes;
      continue;
    }
    const size_t break_bytes = text.substr(offset, 2) == "\r\n" ? 2 : c.bytes;
    lines.emplace_back(text.substr(begin, offset - begin + (keep_ends ? break_bytes : 0)));
    begin = offset += break_bytes;
  }
  if (begin < text.size()) lines.emplace_back(text.substr(begin));
  return lines;
}

}  // namespace musaic::jinja
