#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace musaic {

using Attribute = std::variant<int64_t, double, bool, std::string, std::vector<int64_t>>;

// A node's non-tensor arguments by their schema name.
class Attributes {
 public:
  Attributes() = default;
  Attributes(std::initializer_list<std::pair<const std::string, Attribute>> entries) : entries_(entries) {}

  void set(std::string name, Attribute value) { entries_[std::move(name)] = std::move(value); }
  bool contains(std::string_view name) const { return entries_.find(name) != entries_.end(); }
  // REQUIRES: the attribute is there with that type.
  int64_t get_int(std::string_view name) const;
  double get_float(std::string_view name) const;
  bool get_bool(std::string_view name) const;
  const std::string& get_string(std::string_view name) const;
  const std::map<std::string, Attribute, std::less<>>& entries() const { return entries_; }
  bool operator==(const Attributes&) const = default;

 private:
  std::map<std::string, Attribute, std::less<>> entries_;
};

std::string to_string(const Attribute& attribute);

}  // namespace musaic
