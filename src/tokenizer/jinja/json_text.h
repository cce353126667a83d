#pragma once

#include <optional>
#include <string>

#include "tokenizer/jinja/value.h"

namespace musaic::jinja {

// Python's json.dumps.
struct JsonStyle {
  bool ensure_ascii = false;
  bool sort_keys = false;
  std::optional<std::string> indent;  // of one level; absent: all on one line
  std::string item_separator = ", ";
  std::string key_separator = ": ";
};
std::string to_json(const Value& value, const JsonStyle& style);

}  // namespace musaic::jinja
