#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace musaic::jinja {

// Python's str operations on UTF-8; positions and lengths count characters.

bool is_python_space(char32_t c);
enum class Side { kLeft, kRight, kBoth };
// Without `characters`, white space is stripped.
std::string_view strip(std::string_view text, Side side = Side::kBoth, std::string_view characters = {});

size_t count_characters(std::string_view text);
std::vector<std::string_view> characters_of(std::string_view text);

std::string upper(std::string_view text);
std::string lower(std::string_view text);
std::string capitalize(std::string_view text);
std::string title(std::string_view text);        // str.title(): after each non-letter
std::string title_words(std::string_view text);  // the filter's: after white space, - ( { [ <

// `limit` < 0: all. Fails when the result would be too long.
std::string replace(std::string_view text, std::string_view from, std::string_view to, int64_t limit = -1);
std::string repeat(std::string_view text, int64_t times);

// Without a separator, at runs of white space, and empty parts are left out.
std::vector<std::string> split(std::string_view text, int64_t limit = -1);
std::vector<std::string> split_at(std::string_view text, std::string_view separator, int64_t limit = -1);
std::vector<std::string> split_at_from_right(std::string_view text, std::string_view separator,
                                             int64_t limit);
std::vector<std::string> split_from_right(std::string_view text, int64_t limit);
std::vector<std::string> split_lines(std::string_view text, bool keep_ends = false);

}  // namespace musaic::jinja
