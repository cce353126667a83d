#include "ir/weight_names.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>

namespace musaic {
namespace {

constexpr size_t kMaxNamesANumber = 4;

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// "before" + number + "after", for numbers from `first` on.
struct NumberedName {
  std::string before;
  std::string after;
  int64_t first = 0;

  std::string at(int64_t index) const { return before + std::to_string(first + index) + after; }
};

// The pattern of two names that differ by a number and its successor.
std::optional<NumberedName> pattern_of(const std::string& name, const std::string& next) {
  const auto difference = std::mismatch(name.begin(), name.end(), next.begin(), next.end()).first;
  auto begin = static_cast<size_t>(difference - name.begin());
  while (begin > 0 && is_digit(name[begin - 1])) --begin;
  size_t end = begin;
  while (end < name.size() && is_digit(name[end])) ++end;
  NumberedName pattern{name.substr(0, begin), name.substr(end)};
  const auto number = std::from_chars(name.data() + begin, name.data() + end, pattern.first);
  if (end == begin || number.ec != std::errc() || pattern.at(0) != name || pattern.at(1) != next)
    return std::nullopt;
  return pattern;
}

// The series' name, when the parts are `count` names for each number of a range.
std::optional<std::string> name_of_series(std::span<const std::string> parts, size_t count) {
  if (parts.size() % count != 0 || parts.size() < 2 * count) return std::nullopt;
  std::string name;
  int64_t first = 0;
  for (size_t i = 0; i < count; ++i) {
    const auto pattern = pattern_of(parts[i], parts[count + i]);
    if (!pattern || (i > 0 && pattern->first != first)) return std::nullopt;
    first = pattern->first;
    const auto numbers = static_cast<int64_t>(parts.size() / count);
    for (int64_t n = 0; n < numbers; ++n) {
      if (parts[static_cast<size_t>(n) * count + i] != pattern->at(n)) return std::nullopt;
    }
    name += fmt::format("{}{}[{}-{}]{}", name.empty() ? "" : "+", pattern->before, first, first + numbers - 1,
                        pattern->after);
  }
  return name;
}

struct Range {
  size_t begin, end;  // of "[a-b]" in the name
  int64_t first = 0, last = -1;
};

std::optional<Range> find_range(const std::string& name) {
  Range range{name.find('['), name.find(']')};
  if (range.begin == std::string::npos || range.end == std::string::npos) return std::nullopt;
  const char* end = name.data() + range.end;
  const auto first = std::from_chars(name.data() + range.begin + 1, end, range.first);
  if (first.ec != std::errc() || first.ptr == end || *first.ptr != '-') return std::nullopt;
  const auto last = std::from_chars(first.ptr + 1, end, range.last);
  constexpr int64_t kMaxNumbers = 1 << 16;  // a wild range in a text must not fill the memory
  if (last.ec != std::errc() || last.ptr != end || range.last < range.first ||
      range.last - range.first >= kMaxNumbers)
    return std::nullopt;
  ++range.end;
  return range;
}

std::vector<std::string> split_at_plus(std::string_view name) {
  std::vector<std::string> parts;
  for (size_t plus = name.find('+'); plus != std::string_view::npos; plus = name.find('+')) {
    parts.emplace_back(name.substr(0, plus));
    name.remove_prefix(plus + 1);
  }
  parts.emplace_back(name);
  return parts;
}

}  // namespace

std::string name_of_weight(std::span<const std::string> parts) {
  for (size_t count = 1; count <= kMaxNamesANumber; ++count) {
    if (const auto series = name_of_series(parts, count)) return *series;
  }
  std::string name;
  for (const std::string& part : parts) name += (name.empty() ? "" : "+") + part;
  return name;
}

std::vector<std::string> parts_of_weight(std::string_view name) {
  const std::vector<std::string> names = split_at_plus(name);
  std::vector<Range> ranges;
  for (const std::string& part : names) {
    const auto range = find_range(part);
    if (!range) return names;
    ranges.push_back(*range);
    if (range->first != ranges[0].first || range->last != ranges[0].last) return names;
  }
  std::vector<std::string> parts;
  for (int64_t number = ranges[0].first; number <= ranges[0].last; ++number) {
    for (size_t i = 0; i < names.size(); ++i)
      parts.push_back(names[i].substr(0, ranges[i].begin) + std::to_string(number) +
                      names[i].substr(ranges[i].end));
  }
  return parts;
}

}  // namespace musaic
