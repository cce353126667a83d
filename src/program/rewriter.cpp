#include "program/rewriter.h"

namespace musaic {

Rewriter::Rewriter(const OpRegistry& registry, const Graph& source)
    : Rewriter(registry, source, std::vector<bool>(source.values.size(), true)) {}

Rewriter::Rewriter(const OpRegistry& registry, const Graph& source, const std::vector<bool>& keep)
    : source_(source), builder_(registry, source.name, source.device), mapped_(source.values.size()) {
  for (size_t i = 0; i < source.values.size(); ++i) {
    const ValueKind kind = source.values[i].kind;
    const bool may_go = kind == ValueKind::kWeight || kind == ValueKind::kConstant;
    if (kind != ValueKind::kNode && (keep[i] || !may_go)) adopt_leaf(static_cast<ValueId>(i));
  }
}

void Rewriter::adopt_leaf(ValueId id) {
  const GraphValue& value = source_.values[id];
  const Meta& meta = value.meta;
  switch (value.kind) {
    case ValueKind::kInput:
      mapped_[id] = builder_.input(value.name, meta.dtype, meta.shape);
      break;
    case ValueKind::kWeight:
      mapped_[id] = builder_.weight(value.weight_parts, meta.dtype, meta.shape);
      break;
    case ValueKind::kConstant:
      mapped_[id] = builder_.constant(value.name, meta.dtype, meta.shape, *value.constant);
      break;
    case ValueKind::kState:
      mapped_[id] = builder_.state(value.name, meta.dtype, meta.shape);
      break;
    case ValueKind::kNode:
      break;
  }
}

Value Rewriter::map(ValueId old) const {
  if (old == kNoValue) return {};
  CHECK(mapped_[old].defined(), "%{} has no counterpart yet", old);
  return mapped_[old];
}

void Rewriter::copy(const Node& node) {
  std::vector<Value> inputs;
  for (ValueId id : node.inputs) inputs.push_back(map(id));
  const auto results = builder_.call(node.op, inputs, node.attributes);
  size_t next = 0;
  for (ValueId id : node.outputs) mapped_[id] = results[next++];
  for (const Mutation& mutation : node.mutations) mapped_[mutation.version] = results[next++];
}

Graph Rewriter::finish() {
  for (const auto& [name, id] : source_.outputs) builder_.output(name, map(id));
  return builder_.take();
}

Uses::Uses(const Graph& graph)
    : graph_(graph),
      uses_(graph.values.size()),
      sharers_(graph.values.size(), 0),
      outputs_(graph.values.size(), false) {
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    for (ValueId id : graph.nodes[i].inputs) {
      if (id != kNoValue) uses_[id].push_back(static_cast<int>(i));
    }
  }
  for (const auto& [name, id] : graph.outputs) {
    uses_[id].push_back(static_cast<int>(graph.nodes.size()));
    outputs_[graph.values[id].storage] = true;
  }
  for (const GraphValue& value : graph.values) ++sharers_[value.storage];
}

int Uses::sole_maker(ValueId id, std::string_view op, int user) const {
  const int node = graph_.values[id].node;
  return node >= 0 && graph_.nodes[node].op == op && only_used_by(id, user) ? node : -1;
}

bool is_written_between(const Graph& graph, ValueId id, int first, int last) {
  for (int i = first + 1; i < last; ++i) {
    for (const Mutation& mutation : graph.nodes[i].mutations) {
      if (graph.values[mutation.version].storage == graph.values[id].storage) return true;
    }
  }
  return false;
}

}  // namespace musaic
