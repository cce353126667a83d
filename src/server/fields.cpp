#include "server/fields.h"

#include <fmt/format.h>

#include <charconv>
#include <limits>

#include "server/json_text.h"

namespace musaic {
namespace {

constexpr size_t kMaxShownBytes = 60;

bool is_empty_value(const Json& value) {
  return value.is_null() || value == Json(false) ||
         (value.is_string() && value.get_ref<const std::string&>().empty()) ||
         ((value.is_array() || value.is_object()) && value.empty());
}

std::optional<int64_t> to_integer(const Json& value) {
  if (value.is_number_unsigned() && value.get<uint64_t>() > std::numeric_limits<int64_t>::max())
    return std::nullopt;
  if (value.is_number_integer()) return value.get<int64_t>();
  if (!value.is_number_float()) return std::nullopt;
  const double number = value.get<double>();  // 16.0 is what some clients send for 16
  if (number < -9e15 || number > 9e15 || number != static_cast<double>(static_cast<int64_t>(number)))
    return std::nullopt;
  return static_cast<int64_t>(number);
}

}  // namespace

std::string describe(const Json& value) {
  if (value.is_array()) return value.empty() ? "an empty list" : "a list";
  if (value.is_object()) return "an object";
  const std::string text = to_text(value);
  if (text.size() <= kMaxShownBytes) return text;
  return value.is_string() ? fmt::format("a string of {} bytes", text.size() - 2) : "a long number";
}

std::optional<std::vector<TokenId>> to_token_ids(const Json& value) {
  if (!value.is_array()) return std::nullopt;
  std::vector<TokenId> ids;
  ids.reserve(value.size());
  for (const Json& element : value) {
    if (!element.is_number_integer()) return std::nullopt;
    const auto id = to_integer(element);
    if (!id || *id < std::numeric_limits<TokenId>::min() || *id > std::numeric_limits<TokenId>::max())
      return std::nullopt;
    ids.push_back(static_cast<TokenId>(*id));
  }
  return ids;
}

Fields::Fields(const Json& object, std::string path) : object_(object), path_(std::move(path)) {}

const Json* Fields::find(std::string_view name) const {
  const auto it = object_.find(name);
  return it == object_.end() || it->is_null() ? nullptr : &*it;
}

std::string Fields::name_of(std::string_view name) const {
  return path_.empty() ? std::string(name) : fmt::format("{}.{}", path_, name);
}

void Fields::fail(std::string_view name, const std::string& message) {
  if (error_) return;
  error_ = ApiError{.message = fmt::format("{}: {}", name_of(name), message), .param = name_of(name)};
}

void Fields::expected(std::string_view name, std::string_view what, const Json& got) {
  fail(name, fmt::format("expected {}, got {}", what, describe(got)));
}

std::optional<bool> Fields::boolean(std::string_view name) {
  const Json* value = find(name);
  if (!value || !ok()) return std::nullopt;
  if (value->is_boolean()) return value->get<bool>();
  expected(name, "true or false", *value);
  return std::nullopt;
}

std::optional<int64_t> Fields::integer(std::string_view name, int64_t low, int64_t high) {
  const Json* value = find(name);
  if (!value || !ok()) return std::nullopt;
  const auto number = to_integer(*value);
  if (number && *number >= low && *number <= high) return number;
  const bool open = high == std::numeric_limits<int64_t>::max();
  expected(name,
           open ? fmt::format("a whole number of at least {}", low)
                : fmt::format("a whole number from {} to {}", low, high),
           *value);
  return std::nullopt;
}

std::optional<double> Fields::number(std::string_view name, double low, double high) {
  const Json* value = find(name);
  if (!value || !ok()) return std::nullopt;
  if (value->is_number()) {
    const double number = value->get<double>();
    if (number >= low && number <= high) return number;
  }
  expected(name, fmt::format("a number from {} to {}", low, high), *value);
  return std::nullopt;
}

std::optional<std::string> Fields::string(std::string_view name) {
  const Json* value = find(name);
  if (!value || !ok()) return std::nullopt;
  if (value->is_string()) return value->get<std::string>();
  expected(name, "a string", *value);
  return std::nullopt;
}

const Json* Fields::object(std::string_view name) {
  const Json* value = find(name);
  if (!value || !ok()) return nullptr;
  if (value->is_object()) return value;
  expected(name, "an object", *value);
  return nullptr;
}

std::vector<std::string> Fields::strings(std::string_view name) {
  const Json* value = find(name);
  if (!value || !ok()) return {};
  if (value->is_string()) return {value->get<std::string>()};
  std::vector<std::string> list;
  if (value->is_array()) {
    for (const Json& element : *value) {
      if (!element.is_string()) return expected(name, "a string or a list of strings", element), list;
      list.push_back(element.get<std::string>());
    }
    return list;
  }
  expected(name, "a string or a list of strings", *value);
  return {};
}

std::vector<TokenId> Fields::token_ids(std::string_view name) {
  const Json* value = find(name);
  if (!value || !ok()) return {};
  if (auto ids = to_token_ids(*value)) return std::move(*ids);
  expected(name, "a list of token ids", *value);
  return {};
}

std::vector<std::pair<TokenId, float>> Fields::logit_bias(std::string_view name) {
  std::vector<std::pair<TokenId, float>> list;
  const Json* value = object(name);
  if (!value) return list;
  if (value->size() > kMaxLogitBias) {
    fail(name, fmt::format("has {} entries, at most {} are taken", value->size(), kMaxLogitBias));
    return list;
  }
  for (const auto& [key, bias] : value->items()) {
    TokenId id = 0;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
    if (error != std::errc() || end != key.data() + key.size())
      return fail(name, fmt::format("expected token ids as keys, got {}", describe(key))), list;
    if (!bias.is_number() || bias.get<double>() < -100 || bias.get<double>() > 100)
      return expected(name, "biases from -100 to 100", bias), list;
    list.emplace_back(id, bias.get<float>());
  }
  return list;
}

void Fields::reject(std::string_view name, std::string_view why, std::initializer_list<Json> allowed) {
  const Json* value = find(name);
  if (!value || !ok() || is_empty_value(*value)) return;
  for (const Json& one : allowed) {
    if (*value == one) return;
  }
  fail(name, std::string(why));
}

}  // namespace musaic
