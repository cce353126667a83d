#include "tokenizer/jinja/arguments.h"

#include <algorithm>

namespace musaic::jinja {

std::vector<const Value*> bind(std::string_view function, const Arguments& arguments,
                               std::initializer_list<std::string_view> parameters) {
  if (arguments.positional.size() > parameters.size()) {
    fail("{}: {} arguments, at most {} are taken", function, arguments.positional.size(), parameters.size());
  }
  std::vector<const Value*> bound(parameters.size(), nullptr);
  for (size_t i = 0; i < arguments.positional.size(); ++i) bound[i] = &arguments.positional[i];
  for (const auto& [name, value] : arguments.named) {
    const auto* found = std::find(parameters.begin(), parameters.end(), name);
    if (found == parameters.end()) fail("{}: unexpected argument '{}'", function, name);
    const Value*& place = bound[found - parameters.begin()];
    if (place != nullptr) fail("{}: two values for argument '{}'", function, name);
    place = &value;
  }
  return bound;
}

std::string text_or(const Value* value, std::string_view otherwise, std::string_view function) {
  if (value == nullptr) return std::string(otherwise);
  if (!value->is_text()) fail("{}: expected a string, got '{}'", function, type_name(*value));
  return value->text();
}

int64_t integer_or(const Value* value, int64_t otherwise, std::string_view function) {
  if (value == nullptr) return otherwise;
  if (!value->is_integer()) fail("{}: expected an integer, got '{}'", function, type_name(*value));
  return value->integer();
}

int64_t width_or(const Value* value, int64_t otherwise, std::string_view function, int64_t most) {
  const int64_t width = integer_or(value, otherwise, function);
  if (width > most) fail("{}: a width of {}, at most {} is allowed", function, width, most);
  return std::max<int64_t>(width, 0);
}

bool flag_or(const Value* value, bool otherwise) {
  return value ? is_true(*value) : otherwise;
}

}  // namespace musaic::jinja
