#include "tokenizer/jinja/json_text.h"

#include <algorithm>
#include <cmath>

#include "tokenizer/unicode.h"

namespace musaic::jinja {
namespace {

class JsonWriter {
 public:
  explicit JsonWriter(const JsonStyle& style) : style_(style) {}

  std::string write(const Value& value) {
    append(value);
    return std::move(out_);
  }

 private:
  void append(const Value& value);
  void append_text(const std::string& text);
  void append_character(char32_t c);
  void append_list(const List& items);
  void append_dict(const Dict& dict);
  void break_line() {
    if (!style_.indent) return;
    out_ += '\n';
    for (int i = 0; i < depth_; ++i) out_ += *style_.indent;
  }

  const JsonStyle& style_;
  std::string out_;
  int depth_ = 0;
};

std::string number_text(double number) {
  if (std::isnan(number)) return "NaN";
  if (std::isinf(number)) return number < 0 ? "-Infinity" : "Infinity";
  return number_repr(number);
}

// A dict's key becomes a string.
std::string key_text(const Value& key) {
  if (key.is_text()) return key.text();
  if (key.is_none()) return "null";
  if (const bool* flag = key.get_if<bool>()) return *flag ? "true" : "false";
  if (key.is_integer()) return std::to_string(key.integer());
  if (key.is_number()) return number_text(key.number());
  fail("tojson: keys must be str, int, float, bool or None, not {}", type_name(key));
}

void JsonWriter::append(const Value& value) {
  if (value.is_none()) {
    out_ += "null";
  } else if (const bool* flag = value.get_if<bool>()) {
    out_ += *flag ? "true" : "false";
  } else if (value.is_integer()) {
    out_ += std::to_string(value.integer());
  } else if (value.is_number()) {
    out_ += number_text(value.number());
  } else if (value.is_text()) {
    append_text(value.text());
  } else if (value.is_list()) {
    append_list(value.list());
  } else if (value.is_dict()) {
    append_dict(value.dict());
  } else {
    fail("tojson: an object of type {} is not JSON serializable", type_name(value));
  }
  check_value_bytes(out_.size());
}

void JsonWriter::append_text(const std::string& text) {
  out_ += '"';
  for (size_t offset = 0; offset < text.size();) {
    const DecodedCharacter c = decode_character(text, offset);
    append_character(c.code_point);
    offset += c.bytes;
  }
  out_ += '"';
}

void JsonWriter::append_character(char32_t c) {
  const auto code_unit = [&](uint32_t unit) { out_ += fmt::format("\\u{:04x}", unit); };
  switch (c) {
    case '"':
      out_ += "\\\"";
      return;
    case '\\':
      out_ += "\\\\";
      return;
    case '\n':
      out_ += "\\n";
      return;
    case '\r':
      out_ += "\\r";
      return;
    case '\t':
      out_ += "\\t";
      return;
    case '\b':
      out_ += "\\b";
      return;
    case '\f':
      out_ += "\\f";
      return;
    default:
      break;
  }
  const auto code = static_cast<uint32_t>(c);
  if (code < 0x20) {
    code_unit(code);
  } else if (!style_.ensure_ascii || code < 0x7F) {
    append_utf8(out_, c);
  } else if (code < 0x10000) {
    code_unit(code);
  } else {
    code_unit(0xD800 + ((code - 0x10000) >> 10));
    code_unit(0xDC00 + ((code - 0x10000) & 0x3FF));
  }
}

void JsonWriter::append_list(const List& items) {
  if (items.empty()) {
    out_ += "[]";
    return;
  }
  out_ += '[';
  ++depth_;
  for (size_t i = 0; i < items.size(); ++i) {
    if (i > 0) out_ += style_.item_separator;
    break_line();
    append(items[i]);
  }
  --depth_;
  break_line();
  out_ += ']';
}

void JsonWriter::append_dict(const Dict& dict) {
  if (dict.entries.empty()) {
    out_ += "{}";
    return;
  }
  std::vector<const std::pair<Value, Value>*> entries;
  for (const auto& entry : dict.entries) entries.push_back(&entry);
  if (style_.sort_keys) {
    std::stable_sort(entries.begin(), entries.end(),
                     [](auto* a, auto* b) { return less(a->first, b->first); });
  }
  out_ += '{';
  ++depth_;
  for (size_t i = 0; i < entries.size(); ++i) {
    if (i > 0) out_ += style_.item_separator;
    break_line();
    append_text(key_text(entries[i]->first));
    out_ += style_.key_separator;
    append(entries[i]->second);
  }
  --depth_;
  break_line();
  out_ += '}';
}

}  // namespace

std::string to_json(const Value& value, const JsonStyle& style) {
  return JsonWriter(style).write(value);
}

}  // namespace musaic::jinja
