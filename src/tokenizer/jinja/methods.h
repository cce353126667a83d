#pragma once

#include <string_view>

#include "tokenizer/jinja/value.h"

namespace musaic::jinja {

struct MethodEntry {
  std::string_view name;
  Value (*call)(const Value& object, const Arguments& arguments);
};

// The method of str, dict, list or loop; nullptr when there is none.
const MethodEntry* find_method(const Value& object, std::string_view name);
const MethodEntry* find_text_method(std::string_view name);

}  // namespace musaic::jinja
