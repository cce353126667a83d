#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "ir/graph.h"
#include "ir/spelling.h"
#include "ir/weight_names.h"

namespace musaic {
namespace {

std::string reference(const Graph& graph, ValueId id) {
  if (id == kNoValue) return "None";
  const GraphValue& value = graph.values[id];
  return value.kind == ValueKind::kNode ? "%" + std::to_string(id) : "@" + spell_name(value.name);
}

const char* kind_name(ValueKind kind) {
  switch (kind) {
    case ValueKind::kInput:
      return "input";
    case ValueKind::kWeight:
      return "weight";
    case ValueKind::kConstant:
      return "constant";
    case ValueKind::kState:
      return "state";
    case ValueKind::kNode:
      return "node";
  }
  return "";
}

std::string definition(const Graph& graph, ValueId id) {
  const GraphValue& value = graph.values[id];
  std::string out = reference(graph, id) + ": " + to_string(value.meta);
  if (value.storage != id) out += " in " + reference(graph, value.storage);
  if (!(value.offset == Dim(0))) out += " + " + to_string(value.offset);
  return out;
}

std::string print_leaf(const Graph& graph, ValueId id) {
  const GraphValue& value = graph.values[id];
  std::string out = fmt::format("  {} {}", kind_name(value.kind), definition(graph, id));
  if (value.kind == ValueKind::kWeight && value.weight_parts != parts_of_weight(value.name)) {
    std::string parts;
    for (const std::string& part : value.weight_parts) parts += (parts.empty() ? "" : ", ") + quote(part);
    out += " parts [" + parts + "]";
  }
  if (value.constant != nullptr) {
    out += " = bytes '";
    for (std::byte byte : *value.constant) out += fmt::format("{:02x}", static_cast<unsigned>(byte));
    out += "'";
  }
  return out;
}

bool is_passed_once(const Node& node, ValueId id) {
  return std::count(node.inputs.begin(), node.inputs.end(), id) == 1;
}

bool is_plain_version(const GraphValue& version, const GraphValue& before) {
  return version.meta == before.meta && version.storage == before.storage && version.offset == before.offset;
}

// What a write leaves: ` ! @cache -> %6`, with the argument's number where the value is passed twice.
std::string print_mutation(const Graph& graph, const Node& node, const Mutation& mutation) {
  const ValueId before = node.inputs[mutation.input];
  std::string out = " ! " + reference(graph, before);
  if (!is_passed_once(node, before)) out += fmt::format(" at {}", mutation.input);
  const bool plain = is_plain_version(graph.values[mutation.version], graph.values[before]);
  return out + " -> " + (plain ? reference(graph, mutation.version) : definition(graph, mutation.version));
}

std::string print_node(const Graph& graph, const Node& node) {
  std::string results;
  for (ValueId id : node.outputs) results += (results.empty() ? "" : ", ") + definition(graph, id);
  std::string line = "  " + (results.empty() ? "" : results + " = ") + spell_operator(node.op) + "(";
  std::string arguments;
  for (ValueId id : node.inputs) arguments += (arguments.empty() ? "" : ", ") + reference(graph, id);
  for (const auto& [name, value] : node.attributes.entries())
    arguments += (arguments.empty() ? "" : ", ") + spell_attribute(name) + "=" + to_string(value);
  line += arguments + ")";
  for (const Mutation& mutation : node.mutations) line += print_mutation(graph, node, mutation);
  return line;
}

}  // namespace

std::string print(const Graph& graph) {
  std::string out = fmt::format("graph {} on {} {{\n", spell_name(graph.name), to_string(graph.device));
  for (size_t i = 0; i < graph.values.size(); ++i) {
    if (graph.values[i].kind != ValueKind::kNode) out += print_leaf(graph, static_cast<ValueId>(i)) + "\n";
  }
  for (const Node& node : graph.nodes) out += print_node(graph, node) + "\n";
  for (const auto& [name, id] : graph.outputs)
    out += fmt::format("  output {} = {}\n", spell_name(name), reference(graph, id));
  return out + "}\n";
}

}  // namespace musaic
