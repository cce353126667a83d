#include "ir/compare.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <bit>
#include <cmath>

#include "ir/spelling.h"

namespace musaic {
namespace {

constexpr const char* kKindNames[] = {"input", "weight", "constant", "state", "node"};

const char* kind_name(const GraphValue& value) {
  return kKindNames[static_cast<size_t>(value.kind)];
}

// NaN equals NaN, 0.0 is not -0.0.
bool same(const Attribute& a, const Attribute& b) {
  const double* x = std::get_if<double>(&a);
  const double* y = std::get_if<double>(&b);
  if (x == nullptr || y == nullptr) return a == b;
  return std::bit_cast<uint64_t>(*x) == std::bit_cast<uint64_t>(*y) || (std::isnan(*x) && std::isnan(*y));
}

bool same_bytes(const GraphValue& a, const GraphValue& b) {
  if (a.constant == nullptr || b.constant == nullptr) return a.constant == b.constant;
  return *a.constant == *b.constant;
}

std::string listed(const std::vector<Mutation>& mutations) {
  std::string out;
  for (const Mutation& mutation : mutations)
    out += fmt::format("{}{} -> %{}", out.empty() ? "" : ", ", mutation.input, mutation.version);
  return "[" + out + "]";
}

std::string listed(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names) out += (out.empty() ? "" : ", ") + quote(name);
  return "[" + out + "]";
}

class Comparison {
 public:
  std::vector<std::string> run(const Graph& a, const Graph& b) {
    field("graph", "name", a.name, b.name);
    field("graph", "device", to_string(a.device), to_string(b.device));
    field("graph", "number of values", a.values.size(), b.values.size());
    field("graph", "number of nodes", a.nodes.size(), b.nodes.size());
    field("graph", "number of outputs", a.outputs.size(), b.outputs.size());
    for (size_t i = 0; i < std::min(a.values.size(), b.values.size()); ++i)
      compare(fmt::format("value %{}", i), a.values[i], b.values[i]);
    for (size_t i = 0; i < std::min(a.nodes.size(), b.nodes.size()); ++i)
      compare(fmt::format("node {}", i), a.nodes[i], b.nodes[i]);
    for (size_t i = 0; i < std::min(a.outputs.size(), b.outputs.size()); ++i) {
      const std::string where = fmt::format("output {}", i);
      field(where, "name", a.outputs[i].first, b.outputs[i].first);
      field(where, "value", a.outputs[i].second, b.outputs[i].second);
    }
    return std::move(found_);
  }

 private:
  template <class T>
  void field(const std::string& where, const char* what, const T& a, const T& b) {
    if (!(a == b)) found_.push_back(fmt::format("{}: {} is {}, not {}", where, what, a, b));
  }

  void compare(const std::string& where, const GraphValue& a, const GraphValue& b) {
    field<std::string>(where, "kind", kind_name(a), kind_name(b));
    field(where, "name", a.name, b.name);
    if (!(a.meta == b.meta)) field(where, "type", full_type(a.meta), full_type(b.meta));
    field(where, "node", a.node, b.node);
    field(where, "storage", a.storage, b.storage);
    if (!(a.offset == b.offset)) field(where, "offset", to_string(a.offset), to_string(b.offset));
    field(where, "list of parts", listed(a.weight_parts), listed(b.weight_parts));
    if (!same_bytes(a, b)) found_.push_back(where + ": the constants' bytes differ");
  }

  // Types that differ in what to_string leaves out still read differently.
  static std::string full_type(const Meta& meta) {
    return fmt::format("{}{} strides {} {}", name(meta.dtype), to_string(meta.shape), to_string(meta.strides),
                       to_string(meta.device));
  }

  void compare(const std::string& where, const Node& a, const Node& b) {
    field(where, "operator", a.op, b.op);
    field(where, "inputs", fmt::format("{}", a.inputs), fmt::format("{}", b.inputs));
    field(where, "outputs", fmt::format("{}", a.outputs), fmt::format("{}", b.outputs));
    field(where, "mutations", listed(a.mutations), listed(b.mutations));
    for (const auto& [name, value] : a.attributes.entries()) {
      const auto other = b.attributes.entries().find(name);
      if (other == b.attributes.entries().end()) {
        found_.push_back(fmt::format("{}: argument {} is missing in the second", where, name));
      } else if (!same(value, other->second)) {
        found_.push_back(fmt::format("{}: argument {} is {}, not {}", where, name, to_string(value),
                                     to_string(other->second)));
      }
    }
    for (const auto& [name, value] : b.attributes.entries()) {
      if (!a.attributes.contains(name))
        found_.push_back(fmt::format("{}: argument {} is missing in the first", where, name));
    }
  }

  std::vector<std::string> found_;
};

}  // namespace

std::vector<std::string> differences(const Graph& a, const Graph& b) {
  return Comparison().run(a, b);
}

}  // namespace musaic
