#include "weights/json_fields.h"

#include <limits>

#include "base/status.h"

namespace musaic {

JsonFields::JsonFields(std::string file, const Json& object) : file_(std::move(file)), object_(&object) {
  if (!object.is_object()) fail_load("{}: expected a JSON object, got {}", file_, object.type_name());
}

const Json* JsonFields::find(const char* key) const {
  const auto found = object_->find(key);
  return found == object_->end() || found->is_null() ? nullptr : &*found;
}

void JsonFields::fail_type(const char* key, const Json& got, const char* expected) const {
  constexpr size_t kShown = 80;  // enough to recognise the value
  const std::string text = got.dump(-1, ' ', true, Json::error_handler_t::replace).substr(0, kShown);
  fail_load("{}: `{}` is {}, expected {}", file_, key, text, expected);
}

int JsonFields::to_int(const char* key, const Json& value) const {
  // A float that is whole counts: some tools write 32768.0.
  const double number = value.is_number() ? value.get<double>() : std::numeric_limits<double>::infinity();
  if (number < std::numeric_limits<int>::min() || number > std::numeric_limits<int>::max() ||
      number != static_cast<int>(number)) {
    fail_type(key, value, "a whole number of 32 bits");
  }
  return static_cast<int>(number);
}

std::optional<int> JsonFields::find_int(const char* key) const {
  const Json* value = find(key);
  if (value == nullptr) return std::nullopt;
  return to_int(key, *value);
}

std::optional<double> JsonFields::find_number(const char* key) const {
  const Json* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number()) fail_type(key, *value, "a number");
  return value->get<double>();
}

std::optional<bool> JsonFields::find_bool(const char* key) const {
  const Json* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_boolean()) fail_type(key, *value, "true or false");
  return value->get<bool>();
}

std::optional<std::string> JsonFields::find_string(const char* key) const {
  const Json* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string()) fail_type(key, *value, "a string");
  return value->get<std::string>();
}

std::optional<JsonFields> JsonFields::find_object(const char* key) const {
  const Json* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_object()) fail_type(key, *value, "an object");
  return JsonFields(file_, *value);
}

std::vector<std::string> JsonFields::strings(const char* key) const {
  const Json* value = find(key);
  if (value == nullptr) return {};
  if (!value->is_array()) fail_type(key, *value, "an array of strings");
  std::vector<std::string> result;
  for (const Json& element : *value) {
    if (!element.is_string()) fail_type(key, *value, "an array of strings");
    result.push_back(element.get<std::string>());
  }
  return result;
}

std::vector<int> JsonFields::ints(const char* key) const {
  const Json* value = find(key);
  if (value == nullptr) return {};
  if (!value->is_array()) return {to_int(key, *value)};
  std::vector<int> result;
  for (const Json& element : *value) result.push_back(to_int(key, element));
  return result;
}

int JsonFields::require_int(const char* key) const {
  if (const auto value = find_int(key)) return *value;
  fail_load("{}: `{}` is missing, expected a whole number", file_, key);
}

}  // namespace musaic
