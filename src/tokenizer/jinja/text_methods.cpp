#include <algorithm>
#include <charconv>

#include "tokenizer/jinja/arguments.h"
#include "tokenizer/jinja/methods.h"
#include "tokenizer/jinja/operators.h"
#include "tokenizer/jinja/text.h"
#include "tokenizer/unicode.h"

namespace musaic::jinja {
namespace {

Value list_of(std::vector<std::string> texts) {
  List items;
  for (std::string& text : texts) items.emplace_back(std::move(text));
  return Value(std::move(items));
}

template <Side side>
Value strip_method(const Value& object, const Arguments& arguments) {
  const auto bound = bind("strip", arguments, {"chars"});
  const bool given = bound[0] && !bound[0]->is_none();
  return strip(object.text(), side, given ? text_or(bound[0], "", "strip") : "");
}

Value split_method(const Value& object, const Arguments& arguments) {
  const auto bound = bind("split", arguments, {"sep", "maxsplit"});
  const int64_t limit = integer_or(bound[1], -1, "split");
  if (!bound[0] || bound[0]->is_none()) return list_of(split(object.text(), limit));
  return list_of(split_at(object.text(), text_or(bound[0], "", "split"), limit));
}

Value rsplit_method(const Value& object, const Arguments& arguments) {
  const auto bound = bind("rsplit", arguments, {"sep", "maxsplit"});
  const int64_t limit = integer_or(bound[1], -1, "rsplit");
  if (!bound[0] || bound[0]->is_none()) return list_of(split_from_right(object.text(), limit));
  return list_of(split_at_from_right(object.text(), text_or(bound[0], "", "rsplit"), limit));
}

Value splitlines_method(const Value& object, const Arguments& arguments) {
  return list_of(split_lines(object.text(), flag_or(bind("splitlines", arguments, {"keepends"})[0], false)));
}

// startswith and endswith take a text or a tuple of them.
template <class Matches>
bool matches_any(std::string_view function, const Arguments& arguments, Matches matches) {
  const auto bound = bind(function, arguments, {"prefix"});
  if (bound[0] && bound[0]->is_list()) {
    const List& choices = bound[0]->list();
    return std::any_of(choices.begin(), choices.end(),
                       [&](const Value& choice) { return matches(text_or(&choice, "", function)); });
  }
  if (!bound[0]) fail("{}: expected an argument", function);
  return matches(text_or(bound[0], "", function));
}

Value startswith_method(const Value& object, const Arguments& arguments) {
  return matches_any("startswith", arguments,
                     [&](const std::string& text) { return object.text().starts_with(text); });
}
Value endswith_method(const Value& object, const Arguments& arguments) {
  return matches_any("endswith", arguments,
                     [&](const std::string& text) { return object.text().ends_with(text); });
}

template <std::string (*map)(std::string_view)>
Value map_method(const Value& object, const Arguments& arguments) {
  bind("str", arguments, {});
  return map(object.text());
}

Value replace_method(const Value& object, const Arguments& arguments) {
  const auto bound = bind("replace", arguments, {"old", "new", "count"});
  if (!bound[0] || !bound[1]) fail("replace: expected the old and the new text");
  return replace(object.text(), text_or(bound[0], "", "replace"), text_or(bound[1], "", "replace"),
                 integer_or(bound[2], -1, "replace"));
}

// Position in characters of the first or last occurrence, -1 when there is none.
template <bool from_left>
Value find_method(const Value& object, const Arguments& arguments) {
  const auto bound = bind("find", arguments, {"sub", "start", "end"});
  if (!bound[0]) fail("find: expected a text");
  const auto length = static_cast<int64_t>(count_characters(object.text()));
  const auto clamp = [&](int64_t i) { return std::clamp<int64_t>(i < 0 ? i + length : i, 0, length); };
  const int64_t begin = clamp(integer_or(bound[1], 0, "find"));
  const Value from(begin);
  const Value to(clamp(integer_or(bound[2], length, "find")));
  const std::string part = slice(object, &from, &to, nullptr).text();
  const std::string wanted = text_or(bound[0], "", "find");
  const size_t found = from_left ? part.find(wanted) : part.rfind(wanted);
  if (found == std::string::npos) return int64_t{-1};
  return begin + static_cast<int64_t>(count_characters(std::string_view(part).substr(0, found)));
}

template <bool from_left>
Value index_method(const Value& object, const Arguments& arguments) {
  Value found = find_method<from_left>(object, arguments);
  if (found.integer() < 0) fail("index: substring not found");
  return found;
}

Value count_method(const Value& object, const Arguments& arguments) {
  const std::string wanted = text_or(bind("count", arguments, {"sub"})[0], "", "count");
  if (wanted.empty()) return static_cast<int64_t>(count_characters(object.text()) + 1);
  int64_t count = 0;
  const std::string& text = object.text();
  for (size_t at = text.find(wanted); at != std::string::npos; at = text.find(wanted, at + wanted.size()))
    ++count;
  return count;
}

Value join_method(const Value& object, const Arguments& arguments) {
  const auto bound = bind("join", arguments, {"iterable"});
  if (!bound[0]) fail("join: expected a sequence");
  std::string out;
  bool first = true;
  for (const Value& item : items_of(*bound[0])) {
    if (!std::exchange(first, false)) out += object.text();
    out += text_or(&item, "", "join");
    check_value_bytes(out.size());
  }
  return out;
}

template <bool from_left>
Value partition_method(const Value& object, const Arguments& arguments) {
  const std::string separator = text_or(bind("partition", arguments, {"sep"})[0], "", "partition");
  if (separator.empty()) fail("partition: empty separator");
  const std::string& text = object.text();
  const size_t at = from_left ? text.find(separator) : text.rfind(separator);
  if (at != std::string::npos) {
    return Value(List{text.substr(0, at), separator, text.substr(at + separator.size())}, true);
  }
  return from_left ? Value(List{text, "", ""}, true) : Value(List{"", "", text}, true);
}

Value removeprefix_method(const Value& object, const Arguments& arguments) {
  const std::string prefix = text_or(bind("removeprefix", arguments, {"prefix"})[0], "", "removeprefix");
  const std::string& text = object.text();
  return text.starts_with(prefix) ? text.substr(prefix.size()) : text;
}

Value removesuffix_method(const Value& object, const Arguments& arguments) {
  const std::string suffix = text_or(bind("removesuffix", arguments, {"suffix"})[0], "", "removesuffix");
  const std::string& text = object.text();
  return text.ends_with(suffix) ? text.substr(0, text.size() - suffix.size()) : text;
}

// Whether there are characters and all of them are of a kind.
template <bool (*is_kind)(char32_t)>
Value all_method(const Value& object, const Arguments& arguments) {
  bind("str", arguments, {});
  const std::string& text = object.text();
  for (size_t offset = 0; offset < text.size();) {
    const DecodedCharacter c = decode_character(text, offset);
    if (!is_kind(c.code_point)) return false;
    offset += c.bytes;
  }
  return !text.empty();
}
bool is_letter(char32_t c) {
  return classify(c) == CharacterClass::kLetter;
}
bool is_number(char32_t c) {
  return classify(c) == CharacterClass::kNumber;
}
bool is_letter_or_number(char32_t c) {
  return is_letter(c) || is_number(c);
}

template <std::string (*map)(std::string_view)>
Value case_method(const Value& object, const Arguments& arguments) {
  bind("str", arguments, {});
  const std::string& text = object.text();
  return text == map(text) && upper(text) != lower(text);
}

// ljust, rjust and zfill.
template <bool left>
Value just_method(const Value& object, const Arguments& arguments) {
  const auto bound = bind("just", arguments, {"width", "fillchar"});
  const int64_t width = width_or(bound[0], 0, "just");
  const auto missing = width - static_cast<int64_t>(count_characters(object.text()));
  const std::string fill = repeat(text_or(bound[1], " ", "just"), missing);
  return left ? object.text() + fill : fill + object.text();
}

Value zfill_method(const Value& object, const Arguments& arguments) {
  const int64_t width = width_or(bind("zfill", arguments, {"width"})[0], 0, "zfill");
  std::string text = object.text();
  const auto missing = width - static_cast<int64_t>(count_characters(text));
  const size_t sign = text.starts_with('-') || text.starts_with('+') ? 1 : 0;
  return text.insert(sign, repeat("0", missing));
}

bool read_position(const std::string& field, size_t& position) {
  const char* end = field.data() + field.size();
  const auto result = std::from_chars(field.data(), end, position);
  return result.ec == std::errc() && result.ptr == end;
}

// "{} {0} {name}" without format specifications.
Value format_method(const Value& object, const Arguments& arguments) {
  const std::string& text = object.text();
  std::string out;
  size_t next = 0;
  for (size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if ((c == '{' || c == '}') && at + 1 < text.size() && text[at + 1] == c) {
      out += text[at++];
    } else if (c != '{') {
      out += c;
    } else {
      const size_t end = text.find('}', at);
      if (end == std::string::npos) fail("format: a field has no end");
      const std::string field = text.substr(at + 1, end - at - 1);
      size_t position = 0;
      const bool is_position = field.empty() || read_position(field, position);
      if (is_position) {
        if (field.empty()) position = next++;
        if (position >= arguments.positional.size()) fail("format: no argument {}", position);
        out += to_text(arguments.positional[position]);
      } else {
        const auto named = std::find_if(arguments.named.begin(), arguments.named.end(),
                                        [&](const auto& entry) { return entry.first == field; });
        if (named == arguments.named.end()) fail("format: no argument for '{{{}}}'", field);
        out += to_text(named->second);
      }
      at = end;
    }
    check_value_bytes(out.size());
  }
  return out;
}

constexpr MethodEntry kTextMethods[] = {
    {"strip", strip_method<Side::kBoth>},
    {"lstrip", strip_method<Side::kLeft>},
    {"rstrip", strip_method<Side::kRight>},
    {"split", split_method},
    {"rsplit", rsplit_method},
    {"splitlines", splitlines_method},
    {"startswith", startswith_method},
    {"endswith", endswith_method},
    {"upper", map_method<upper>},
    {"lower", map_method<lower>},
    {"casefold", map_method<lower>},
    {"title", map_method<title>},
    {"capitalize", map_method<capitalize>},
    {"replace", replace_method},
    {"find", find_method<true>},
    {"rfind", find_method<false>},
    {"index", index_method<true>},
    {"rindex", index_method<false>},
    {"count", count_method},
    {"join", join_method},
    {"partition", partition_method<true>},
    {"rpartition", partition_method<false>},
    {"removeprefix", removeprefix_method},
    {"removesuffix", removesuffix_method},
    {"isspace", all_method<is_python_space>},
    {"isalpha", all_method<is_letter>},
    {"isdigit", all_method<is_number>},
    {"isnumeric", all_method<is_number>},
    {"isdecimal", all_method<is_number>},
    {"isalnum", all_method<is_letter_or_number>},
    {"isupper", case_method<upper>},
    {"islower", case_method<lower>},
    {"ljust", just_method<true>},
    {"rjust", just_method<false>},
    {"zfill", zfill_method},
    {"format", format_method},
};

}  // namespace

const MethodEntry* find_text_method(std::string_view name) {
  const auto found = std::find_if(std::begin(kTextMethods), std::end(kTextMethods),
                                  [&](const MethodEntry& entry) { return entry.name == name; });
  return found == std::end(kTextMethods) ? nullptr : found;
}

}  // namespace musaic::jinja
