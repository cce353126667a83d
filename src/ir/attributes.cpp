#include "ir/attributes.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/check.h"
#include "ir/spelling.h"

namespace musaic {
namespace {

template <class T>
const T& get(const std::map<std::string, Attribute, std::less<>>& entries, std::string_view name) {
  const auto found = entries.find(name);
  CHECK(found != entries.end(), "no attribute {}", name);
  const T* value = std::get_if<T>(&found->second);
  CHECK(value, "attribute {} has another type", name);
  return *value;
}

struct Printer {
  std::string operator()(int64_t value) const { return std::to_string(value); }
  std::string operator()(double value) const {
    const std::string text = fmt::format("{}", value);
    return text.find_first_of(".einf") == std::string::npos ? text + ".0" : text;
  }
  std::string operator()(bool value) const { return value ? "True" : "False"; }
  std::string operator()(const std::string& value) const { return quote(value); }
  std::string operator()(const std::vector<int64_t>& value) const {
    return fmt::format("[{}]", fmt::join(value, ", "));
  }
};

}  // namespace

int64_t Attributes::get_int(std::string_view name) const {
  return get<int64_t>(entries_, name);
}
double Attributes::get_float(std::string_view name) const {
  return get<double>(entries_, name);
}
bool Attributes::get_bool(std::string_view name) const {
  return get<bool>(entries_, name);
}
const std::string& Attributes::get_string(std::string_view name) const {
  return get<std::string>(entries_, name);
}

std::string to_string(const Attribute& attribute) {
  return std::visit(Printer{}, attribute);
}

}  // namespace musaic
