#include <fmt/format.h>

#include "ir/graph.h"

namespace musaic {
namespace {

std::string reference(const Graph& graph, ValueId id) {
  if (id == kNoValue) return "None";
  const GraphValue& value = graph.values[id];
  return (value.kind == ValueKind::kNode ? "%" : "@") + value.name;
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
  if (value.storage != id) {
    out += " in " + reference(graph, value.storage);
    if (!(value.offset == Dim(0))) out += " + " + to_string(value.offset);
  }
  return out;
}

std::string print_node(const Graph& graph, const Node& node) {
  std::string results;
  for (ValueId id : node.outputs) results += (results.empty() ? "" : ", ") + definition(graph, id);
  std::string line = "  " + (results.empty() ? "" : results + " = ") + node.op + "(";
  std::string arguments;
  for (ValueId id : node.inputs) arguments += (arguments.empty() ? "" : ", ") + reference(graph, id);
  for (const auto& [name, value] : node.attributes.entries())
    arguments += (arguments.empty() ? "" : ", ") + name + "=" + to_string(value);
  line += arguments + ")";
  for (const Mutation& mutation : node.mutations) {
    line += fmt::format(" ! {} -> {}", reference(graph, node.inputs[mutation.input]),
                        reference(graph, mutation.version));
  }
  return line;
}

}  // namespace

std::string print(const Graph& graph) {
  std::string out = fmt::format("graph {} on {} {{\n", graph.name, to_string(graph.device));
  for (size_t i = 0; i < graph.values.size(); ++i) {
    const GraphValue& value = graph.values[i];
    if (value.kind == ValueKind::kNode) continue;
    out += fmt::format("  {} {}\n", kind_name(value.kind), definition(graph, static_cast<ValueId>(i)));
  }
  for (const Node& node : graph.nodes) out += print_node(graph, node) + "\n";
  for (const auto& [name, id] : graph.outputs)
    out += fmt::format("  output {} = {}\n", name, reference(graph, id));
  return out + "}\n";
}

}  // namespace musaic
