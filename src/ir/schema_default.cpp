#include "ir/schema_default.h"

#include <charconv>
#include <cmath>

namespace musaic {
namespace {

// All of the text, and within range.
template <class T>
bool parse_number(std::string_view text, T& number) {
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, number);
  return parsed.ec == std::errc() && parsed.ptr == end;
}

bool is_number_char(char c) {
  return SchemaCursor::is_word(c) || c == '.' || c == '-' || c == '+';
}

std::optional<double> read_number(SchemaCursor& cursor) {
  double value = 0;
  if (!parse_number(cursor.take_while(is_number_char), value) || std::isnan(value)) return std::nullopt;
  return value;
}

std::optional<bool> read_bool(SchemaCursor& cursor) {
  const std::string_view word = cursor.word();
  if (word != "True" && word != "False") return std::nullopt;
  return word == "True";
}

// `[1, 2]`, or for a list of fixed length one number that stands for all.
std::optional<std::vector<int64_t>> read_int_list(SchemaCursor& cursor, int length) {
  std::vector<int64_t> values;
  if (!cursor.take("[")) {
    const auto value = length > 0 ? read_whole_number(cursor) : std::nullopt;
    if (!value) return std::nullopt;
    return std::vector<int64_t>(static_cast<size_t>(length), *value);
  }
  while (!cursor.take("]")) {
    if (!values.empty() && !cursor.take(",")) return std::nullopt;
    const auto value = read_whole_number(cursor);
    if (!value) return std::nullopt;
    values.push_back(*value);
  }
  if (length > 0 && values.size() != static_cast<size_t>(length)) return std::nullopt;
  return values;
}

// Moves one escape sequence from the front of the text into the value.
bool unescape(std::string_view& rest, std::string& value) {
  constexpr std::string_view kNames = "\\'\"nrt";
  constexpr std::string_view kValues = "\\'\"\n\r\t";
  if (rest.size() < 2) return false;
  if (rest[1] == 'x') {
    if (rest.size() < 4) return false;
    uint8_t byte = 0;
    const auto parsed = std::from_chars(rest.data() + 2, rest.data() + 4, byte, 16);
    if (parsed.ec != std::errc() || parsed.ptr != rest.data() + 4) return false;
    value += static_cast<char>(byte);
    rest.remove_prefix(4);
    return true;
  }
  const size_t index = kNames.find(rest[1]);
  if (index == std::string_view::npos) return false;
  value += kValues[index];
  rest.remove_prefix(2);
  return true;
}

// In single or double quotes, with \\, \', \", \n, \r, \t and \xNN.
std::optional<std::string> read_string(SchemaCursor& cursor) {
  const char quote = cursor.peek();
  if (quote != '\'' && quote != '"') return std::nullopt;
  std::string_view rest = cursor.mark().substr(1);
  std::string value;
  while (!rest.empty() && rest.front() != quote) {
    if (rest.front() != '\\') {
      value += rest.front();
      rest.remove_prefix(1);
    } else if (!unescape(rest, value)) {
      return std::nullopt;
    }
  }
  if (rest.empty()) return std::nullopt;
  cursor.go_back(rest.substr(1));
  return value;
}

template <class T>
std::optional<Attribute> as_attribute(std::optional<T> value) {
  if (!value) return std::nullopt;
  return Attribute(std::move(*value));
}

}  // namespace

std::optional<int64_t> read_whole_number(SchemaCursor& cursor) {
  int64_t value = 0;
  if (!parse_number(cursor.take_while(is_number_char), value)) return std::nullopt;
  return value;
}

std::optional<Attribute> read_default(SchemaCursor& cursor, const SchemaArgument& argument) {
  switch (argument.type) {
    case SchemaType::kTensor:
      return std::nullopt;
    case SchemaType::kInt:
      return as_attribute(read_whole_number(cursor));
    case SchemaType::kFloat:
      return as_attribute(read_number(cursor));
    case SchemaType::kBool:
      return as_attribute(read_bool(cursor));
    case SchemaType::kString:
      return as_attribute(read_string(cursor));
    case SchemaType::kIntList:
      return as_attribute(read_int_list(cursor, argument.list_length));
  }
  return std::nullopt;
}

std::string expected_default(const SchemaArgument& argument) {
  const std::string or_none = argument.optional ? " or None" : "";
  switch (argument.type) {
    case SchemaType::kTensor:
      return argument.optional ? "None" : "no default: only a Tensor? has one, None";
    case SchemaType::kInt:
      return "a whole number" + or_none;
    case SchemaType::kFloat:
      return "a number" + or_none;
    case SchemaType::kBool:
      return "True or False" + or_none;
    case SchemaType::kString:
      return "a string in quotes" + or_none;
    case SchemaType::kIntList:
      return (argument.list_length > 0 ? fmt::format("{} whole numbers like [1, 2]", argument.list_length)
                                       : std::string("whole numbers like [1, 2]")) +
             or_none;
  }
  return "";
}

}  // namespace musaic
