#pragma once

#include <initializer_list>
#include <optional>
#include <string_view>
#include <vector>

#include "tokenizer/jinja/value.h"

namespace musaic::jinja {

// The arguments of a built-in by the order of its parameters; nullptr where none was given. Fails, naming the
// function, for too many or unknown ones.
std::vector<const Value*> bind(std::string_view function, const Arguments& arguments,
                               std::initializer_list<std::string_view> parameters);

// Reads one argument; `otherwise` where it is absent. Fail for another type.
std::string text_or(const Value* value, std::string_view otherwise, std::string_view function);
int64_t integer_or(const Value* value, int64_t otherwise, std::string_view function);
bool flag_or(const Value* value, bool otherwise);

}  // namespace musaic::jinja
