#include <fmt/format.h>

#include "base/status.h"
#include "ir/graph.h"

namespace musaic {
namespace {

class Verifier {
 public:
  Verifier(const Graph& graph, const OpRegistry& registry) : graph_(graph), registry_(registry) {}

  std::vector<std::string> run() {
    writes_.assign(graph_.values.size(), {});
    defined_.assign(graph_.values.size(), false);
    for (size_t i = 0; i < graph_.values.size(); ++i) {
      defined_[i] = graph_.values[i].kind != ValueKind::kNode;
    }
    for (size_t i = 0; i < graph_.nodes.size(); ++i) check_node(static_cast<int>(i));
    for (const auto& [name, id] : graph_.outputs) {
      if (id < 0 || !defined_[id]) problem("output {} is never computed", name);
    }
    return problems_;
  }

 private:
  template <class... Args>
  void problem(fmt::format_string<Args...> format, Args&&... args) {
    problems_.push_back(fmt::format(format, std::forward<Args>(args)...));
  }

  void check_node(int index) {
    const Node& node = graph_.nodes[index];
    const OpDef* op = registry_.find(node.op);
    if (op == nullptr) return problem("node {}: no such operator {}", index, node.op);
    const auto tensors = op->schema.tensors();
    if (node.inputs.size() != tensors.size()) {
      return problem("node {} {}: {} tensors, the schema has {}", index, node.op, node.inputs.size(),
                     tensors.size());
    }
    for (size_t i = 0; i < tensors.size(); ++i) check_input(index, node.inputs[i], *tensors[i]);
    check_fake(index, *op);
    for (ValueId id : node.outputs) defined_[id] = true;
    record_mutations(index, tensors);
  }

  void check_input(int index, ValueId id, const SchemaArgument& argument) {
    const std::string& op = graph_.nodes[index].op;
    if (id == kNoValue) {
      if (!argument.optional) problem("node {} {}: {} is missing", index, op, argument.name);
      return;
    }
    if (id < 0 || id >= static_cast<ValueId>(graph_.values.size()) || !defined_[id]) {
      return problem("node {} {}: {} is used before it is computed", index, op, argument.name);
    }
    const GraphValue& value = graph_.values[id];
    for (ValueId write : writes_[value.storage]) {
      if (id >= write || !overlaps(value, graph_.values[write])) continue;
      problem("node {} {}: {} is version %{} of a storage that %{} has overwritten", index, op, argument.name,
              id, write);
    }
    if (argument.mutated && (value.kind == ValueKind::kWeight || value.kind == ValueKind::kConstant)) {
      problem("node {} {}: {} would write {}", index, op, argument.name, value.name);
    }
  }

  // Views of one storage with constant offsets along the last dimension overlap unless their columns are
  // disjoint.
  static bool overlaps(const GraphValue& a, const GraphValue& b) {
    if (!a.offset.is_constant() || !b.offset.is_constant() || a.meta.rank() < 2 || b.meta.rank() < 2)
      return true;
    const Dim& wide = a.meta.strides[0];
    if (!(wide == b.meta.strides[0]) || !wide.is_constant()) return true;
    const int64_t a_begin = a.offset.constant() % wide.constant();
    const int64_t b_begin = b.offset.constant() % wide.constant();
    const Dim& a_size = a.meta.dim(-1);
    const Dim& b_size = b.meta.dim(-1);
    if (!a_size.is_constant() || !b_size.is_constant() || a.meta.rank() != 2 || b.meta.rank() != 2)
      return true;
    return a_begin < b_begin + b_size.constant() && b_begin < a_begin + a_size.constant();
  }

  void check_fake(int index, const OpDef& op) {
    const Node& node = graph_.nodes[index];
    std::vector<const Meta*> metas;
    for (ValueId id : node.inputs) metas.push_back(id == kNoValue ? nullptr : &graph_.values[id].meta);
    try {
      const auto fakes = op.fake({op.schema, metas, node.attributes});
      if (fakes.size() != node.outputs.size()) {
        return problem("node {} {}: {} outputs, its fake has {}", index, node.op, node.outputs.size(),
                       fakes.size());
      }
      for (size_t i = 0; i < fakes.size(); ++i) check_output(index, node.outputs[i], fakes[i]);
    } catch (const LoadError& error) {
      problem("node {}: {}", index, error.what());
    }
  }

  void check_output(int index, ValueId id, const FakeOutput& fake) {
    const Node& node = graph_.nodes[index];
    const GraphValue& value = graph_.values[id];
    if (!(value.meta == fake.meta)) {
      problem("node {} {}: %{} is {}, its fake says {}", index, node.op, id, to_string(value.meta),
              to_string(fake.meta));
    }
    const ValueId storage = fake.view_of < 0 ? id : graph_.values[node.inputs[fake.view_of]].storage;
    if (value.storage != storage)
      problem("node {} {}: %{} lies in another storage than its fake says", index, node.op, id);
  }

  void record_mutations(int index, const std::vector<const SchemaArgument*>& tensors) {
    const Node& node = graph_.nodes[index];
    size_t expected = 0;
    for (size_t i = 0; i < tensors.size(); ++i) expected += tensors[i]->mutated && node.inputs[i] != kNoValue;
    if (expected != node.mutations.size()) {
      problem("node {} {}: {} mutations, the schema has {}", index, node.op, node.mutations.size(), expected);
    }
    for (const Mutation& mutation : node.mutations) {
      const ValueId storage = graph_.values[node.inputs[mutation.input]].storage;
      if (graph_.values[mutation.version].storage != storage) {
        problem("node {} {}: a version of another storage", index, node.op);
      }
      defined_[mutation.version] = true;
      writes_[storage].push_back(mutation.version);
    }
  }

  const Graph& graph_;
  const OpRegistry& registry_;
  std::vector<std::vector<ValueId>> writes_;  // by storage: the versions written so far
  std::vector<bool> defined_;
  std::vector<std::string> problems_;
};

}  // namespace

std::vector<std::string> verify(const Graph& graph, const OpRegistry& registry) {
  return Verifier(graph, registry).run();
}

}  // namespace musaic
