#include "ir/weight_names.h"

namespace musaic {

std::string name_of_weight(std::span<const std::string> parts) {
  std::string name;
  for (const std::string& part : parts) name += (name.empty() ? "" : "+") + part;
  return name;
}

std::vector<std::string> parts_of_weight(std::string_view name) {
  std::vector<std::string> parts;
  for (size_t plus = name.find('+'); plus != std::string_view::npos; plus = name.find('+')) {
    parts.emplace_back(name.substr(0, plus));
    name.remove_prefix(plus + 1);
  }
  parts.emplace_back(name);
  return parts;
}

}  // namespace musaic
