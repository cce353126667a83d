#include <algorithm>
#include <array>

#include "tokenizer/jinja/arguments.h"
#include "tokenizer/jinja/filter_table.h"
#include "tokenizer/jinja/json_text.h"
#include "tokenizer/jinja/operators.h"
#include "tokenizer/jinja/text.h"

namespace musaic::jinja {
namespace {

Value filter_trim(const Value& input, const Arguments& arguments, Budget&) {
  const auto bound = bind("trim", arguments, {"chars"});
  const std::string characters = bound[0] && bound[0]->is_none() ? "" : text_or(bound[0], "", "trim");
  return strip(to_text(input), Side::kBoth, characters);
}

Value filter_upper(const Value& input, const Arguments&, Budget&) {
  return upper(to_text(input));
}
Value filter_lower(const Value& input, const Arguments&, Budget&) {
  return lower(to_text(input));
}
Value filter_title(const Value& input, const Arguments&, Budget&) {
  return title_words(to_text(input));
}
Value filter_capitalize(const Value& input, const Arguments&, Budget&) {
  return capitalize(to_text(input));
}
Value filter_string(const Value& input, const Arguments&, Budget&) {
  return to_text(input);
}
Value filter_safe(const Value& input, const Arguments&, Budget&) {
  return to_text(input);
}

Value filter_replace(const Value& input, const Arguments& arguments, Budget&) {
  const auto bound = bind("replace", arguments, {"old", "new", "count"});
  if (!bound[0] || !bound[1]) fail("replace: expected the old and the new text");
  const int64_t count = bound[2] && !bound[2]->is_none() ? integer_or(bound[2], -1, "replace") : -1;
  return replace(to_text(input), to_text(*bound[0]), to_text(*bound[1]), count);
}

Value filter_escape(const Value& input, const Arguments&, Budget&) {
  std::string out;
  for (const char c : to_text(input)) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&#34;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

// The characters of one level: a number of spaces, or the text itself.
std::string indent_of(const Value* width, int64_t otherwise, std::string_view function) {
  if (width && width->is_text()) return width->text();
  return std::string(static_cast<size_t>(width_or(width, otherwise, function)), ' ');
}

Value filter_indent(const Value& input, const Arguments& arguments, Budget&) {
  const auto bound = bind("indent", arguments, {"width", "first", "blank"});
  const std::string indent = indent_of(bound[0], 4, "indent");
  const bool first = flag_or(bound[1], false);
  const bool blank = flag_or(bound[2], false);
  const std::string text = to_text(input) + "\n";
  std::string out = first ? indent : "";
  const std::vector<std::string> lines = split_lines(text);
  for (size_t i = 0; i < lines.size(); ++i) {
    if (i > 0) out += '\n';
    if (i > 0 && (blank || !lines[i].empty())) out += indent;
    out += lines[i];
    check_value_bytes(out.size());
  }
  return out;
}

Value filter_tojson(const Value& input, const Arguments& arguments, Budget&) {
  const auto bound = bind("tojson", arguments, {"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonStyle style;
  style.ensure_ascii = flag_or(bound[0], false);
  if (bound[1] && !bound[1]->is_none()) {
    style.indent = indent_of(bound[1], 0, "tojson");
    style.item_separator = ",";
  }
  if (bound[2] && !bound[2]->is_none()) {
    if (!bound[2]->is_list() || bound[2]->list().size() != 2) fail("tojson: separators must be two strings");
    style.item_separator = text_or(&bound[2]->list()[0], "", "tojson");
    style.key_separator = text_or(&bound[2]->list()[1], "", "tojson");
  }
  style.sort_keys = flag_or(bound[3], false);
  return to_json(input, style);
}

Value filter_center(const Value& input, const Arguments& arguments, Budget&) {
  Arguments width = arguments;
  if (width.positional.empty() && width.named.empty()) width.positional.emplace_back(80);
  const int64_t wanted = width_or(bind("center", width, {"width"})[0], 80, "center");
  const std::string text = to_text(input);
  const auto missing = wanted - static_cast<int64_t>(count_characters(text));
  if (missing <= 0) return text;
  const int64_t left = missing / 2 + (missing & wanted & 1);
  return std::string(left, ' ') + text + std::string(missing - left, ' ');
}

Value filter_wordcount(const Value& input, const Arguments&, Budget&) {
  int64_t words = 0;
  bool in_word = false;
  for (const char c : to_text(input)) {
    const bool is_word =
        c == '_' || (c & 0x80) || (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
    words += is_word && !in_word;
    in_word = is_word;
  }
  return words;
}

Value filter_truncate(const Value& input, const Arguments& arguments, Budget&) {
  const auto bound = bind("truncate", arguments, {"length", "killwords", "end", "leeway"});
  const int64_t length = width_or(bound[0], 255, "truncate", kMaxValueBytes);
  const std::string end = text_or(bound[2], "...", "truncate");
  const int64_t leeway = width_or(bound[3], 5, "truncate", kMaxValueBytes);
  const std::string text = to_text(input);
  const auto kept = length - static_cast<int64_t>(count_characters(end));
  if (kept < 0) fail("truncate: expected a length of at least {}", count_characters(end));
  if (static_cast<int64_t>(count_characters(text)) <= length + leeway) return text;
  const Value bound_end(kept);
  std::string cut = slice(Value(text), nullptr, &bound_end, nullptr).text();
  if (!flag_or(bound[1], false)) cut = cut.substr(0, cut.rfind(' '));
  return cut + end;
}

Value filter_format(const Value& input, const Arguments& arguments, Budget&) {
  if (!arguments.named.empty()) fail("format: named arguments are not supported");
  return format_percent(to_text(input), arguments.positional);
}

Value filter_urlencode(const Value& input, const Arguments&, Budget&) {
  constexpr std::string_view kKept = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-~/";
  std::string out;
  for (const char c : to_text(input)) {
    if (kKept.find(c) != std::string_view::npos) {
      out += c;
    } else {
      out += fmt::format("%{:02X}", static_cast<uint8_t>(c));
    }
  }
  return out;
}

constexpr std::array kTextFilters = {
    FilterEntry{"trim", filter_trim},           FilterEntry{"upper", filter_upper},
    FilterEntry{"lower", filter_lower},         FilterEntry{"title", filter_title},
    FilterEntry{"string", filter_string},       FilterEntry{"capitalize", filter_capitalize},
    FilterEntry{"safe", filter_safe},           FilterEntry{"replace", filter_replace},
    FilterEntry{"escape", filter_escape},       FilterEntry{"e", filter_escape},
    FilterEntry{"indent", filter_indent},       FilterEntry{"tojson", filter_tojson},
    FilterEntry{"center", filter_center},       FilterEntry{"wordcount", filter_wordcount},
    FilterEntry{"truncate", filter_truncate},   FilterEntry{"format", filter_format},
    FilterEntry{"urlencode", filter_urlencode},
};

}  // namespace

std::span<const FilterEntry> text_filters() {
  return kTextFilters;
}

}  // namespace musaic::jinja
