#pragma once

#include <string_view>

#include "tokenizer/jinja/limits.h"
#include "tokenizer/jinja/value.h"

namespace musaic::jinja {

// `input | name(arguments)`. Fails for an unknown filter.
Value apply_filter(std::string_view name, const Value& input, const Arguments& arguments, Budget& budget);

// `input is name(arguments)`. Fails for an unknown test.
bool apply_test(std::string_view name, const Value& input, const Arguments& arguments);
bool is_filter(std::string_view name);
bool is_test(std::string_view name);

// `object.name` and `object[key]` as the template language looks them up: undefined when there is none. A
// method is a callable that only serves to be tested for: calls go through call_method.
Value get_attribute(const Value& object, std::string_view name);
Value get_item(const Value& object, const Value& key);
// "a.b.0": one after the other.
Value get_path(const Value& object, const Value& path);

bool has_method(const Value& object, std::string_view name);
Value call_method(const Value& object, std::string_view name, const Arguments& arguments);

}  // namespace musaic::jinja
