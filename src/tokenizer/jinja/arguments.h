#pragma once

#include <initializer_list>
#include <optional>
#include <string_view>
#include <vector>

#include "tokenizer/jinja/value.h"

namespace musaic::jinja {

inline constexpr int64_t kMaxWidth = 10'000;  // to which a text may be padded or indented

// The arguments of a built-in by the order of its parameters; nullptr where none was given. Fails, naming the
// function, for too many or unknown ones.
std::vector<const Value*> bind(std::string_view function, const Arguments& arguments,
                               std::initializer_list<std::string_view> parameters);

// Reads one argument; `otherwise` where it is absent. Fail for another type.
std::string text_or(const Value* value, std::string_view otherwise, std::string_view function);
int64_t integer_or(const Value* value, int64_t otherwise, std::string_view function);
// A count of characters: what is negative is 0. Fails above `most`.
int64_t width_or(const Value* value, int64_t otherwise, std::string_view function, int64_t most = kMaxWidth);
bool flag_or(const Value* value, bool otherwise);

}  // namespace musaic::jinja
