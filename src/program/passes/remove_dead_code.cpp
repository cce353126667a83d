#include "program/passes/pass.h"
#include "program/rewriter.h"

namespace musaic {
namespace {

bool writes_state(const Graph& graph, const Node& node) {
  for (const Mutation& mutation : node.mutations) {
    const GraphValue& value = graph.values[node.inputs[mutation.input]];
    if (graph.values[value.storage].kind != ValueKind::kNode) return true;
  }
  return false;
}

bool is_read(const std::vector<bool>& live, const Node& node) {
  for (ValueId id : node.outputs) {
    if (live[id]) return true;
  }
  for (const Mutation& mutation : node.mutations) {
    if (live[mutation.version]) return true;
  }
  return false;
}

}  // namespace

// Takes away nodes whose results nobody reads and that write no state, and weights and constants without a
// reader.
Graph remove_dead_code(const Graph& graph, const Target& target, PassReport& report) {
  std::vector<bool> live(graph.values.size(), false);
  std::vector<bool> keep(graph.nodes.size(), false);
  for (const auto& [name, id] : graph.outputs) live[id] = true;
  for (size_t i = graph.nodes.size(); i-- > 0;) {
    const Node& node = graph.nodes[i];
    keep[i] = writes_state(graph, node) || is_read(live, node);
    if (!keep[i]) continue;
    for (ValueId id : node.inputs) {
      if (id != kNoValue) live[id] = true;
    }
  }
  Rewriter rewriter(target.registry, graph, live);
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    if (keep[i]) {
      rewriter.copy(graph.nodes[i]);
    } else {
      report.did(static_cast<int>(i), graph.nodes[i].op + " without a reader");
    }
  }
  for (size_t i = 0; i < graph.values.size(); ++i) {
    const ValueKind kind = graph.values[i].kind;
    if (!live[i] && (kind == ValueKind::kWeight || kind == ValueKind::kConstant)) ++report.rewrites;
  }
  return rewriter.finish();
}

}  // namespace musaic
