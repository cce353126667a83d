#include <fmt/format.h>

#include "base/status.h"
#include "ir/call_rules.h"
#include "ir/graph.h"
#include "ir/overlap.h"

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
      if (!exists(graph_.values[i].storage))
        problem("%{} lies in the unknown storage %{}", i, graph_.values[i].storage);
    }
    if (!problems_.empty()) return problems_;
    for (size_t i = 0; i < graph_.nodes.size(); ++i) check_node(static_cast<int>(i));
    for (const auto& [name, id] : graph_.outputs) check_graph_output(name, id);
    return problems_;
  }

 private:
  template <class... Args>
  void problem(fmt::format_string<Args...> format, Args&&... args) {
    problems_.push_back(fmt::format(format, std::forward<Args>(args)...));
  }

  bool exists(ValueId id) const { return id >= 0 && id < static_cast<ValueId>(graph_.values.size()); }

  void check_node(int index) {
    const Node& node = graph_.nodes[index];
    const OpDef* op = registry_.find(node.op);
    if (op == nullptr) return problem("node {}: no such operator {}", index, node.op);
    if (!op->fake) return problem("node {} {}: has no fake kernel", index, node.op);
    const auto tensors = op->schema.tensors();
    if (node.inputs.size() != tensors.size()) {
      return problem("node {} {}: {} tensors, the schema has {}", index, node.op, node.inputs.size(),
                     tensors.size());
    }
    const size_t problems_before = problems_.size();
    check_rule(index, arity_problem(op->schema, node.inputs));
    for (size_t i = 0; i < tensors.size(); ++i) check_input(index, node.inputs[i], *tensors[i]);
    check_rule(index, attribute_problem(op->schema, node.attributes));
    if (problems_.size() == problems_before)
      check_rule(index, write_problem(graph_, op->schema, node.inputs));
    if (problems_.size() == problems_before) check_fake(index, *op);
    for (ValueId id : node.outputs) define(index, id);
    record_mutations(index, tensors);
  }

  void check_rule(int index, const std::optional<std::string>& broken) {
    if (broken) problem("node {} {}: {}", index, graph_.nodes[index].op, *broken);
  }

  void define(int index, ValueId id) {
    const std::string& op = graph_.nodes[index].op;
    if (!exists(id)) return problem("node {} {}: computes the unknown %{}", index, op, id);
    if (defined_[id]) problem("node {} {}: %{} is computed already", index, op, id);
    if (graph_.values[id].node != index)
      problem("node {} {}: %{} names node {} as its own", index, op, id, graph_.values[id].node);
    defined_[id] = true;
  }

  void check_input(int index, ValueId id, const SchemaArgument& argument) {
    const std::string& op = graph_.nodes[index].op;
    if (id == kNoValue) return;
    if (!exists(id) || !defined_[id]) {
      return problem("node {} {}: {} is used before it is computed", index, op, argument.name);
    }
    if (const ValueId write = overwritten_by(id); write != kNoValue) {
      problem("node {} {}: {} is version %{} of a storage that %{} has overwritten", index, op, argument.name,
              id, write);
    }
  }

  void check_graph_output(const std::string& name, ValueId id) {
    if (!exists(id) || !defined_[id]) return problem("output {} is never computed", name);
    if (const ValueId write = overwritten_by(id); write != kNoValue)
      problem("output {} is version %{} of a storage that %{} has overwritten", name, id, write);
  }

  // The version that a node before this point has written over the value; kNoValue: none.
  ValueId overwritten_by(ValueId id) const {
    const GraphValue& value = graph_.values[id];
    for (ValueId write : writes_[value.storage]) {
      if (id < write && overlaps(value, graph_.values[write])) return write;
    }
    return kNoValue;
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
      const auto wrong = fake_problem(op.schema, node.inputs, fakes);
      if (wrong) return check_rule(index, wrong);
      for (size_t i = 0; i < fakes.size(); ++i) {
        if (exists(node.outputs[i])) check_output(index, node.outputs[i], fakes[i]);
      }
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
    const GraphValue* base = fake.view_of < 0 ? nullptr : &graph_.values[node.inputs[fake.view_of]];
    if (value.storage != (base ? base->storage : id))
      problem("node {} {}: %{} lies in another storage than its fake says", index, node.op, id);
    const Dim offset = base ? base->offset + fake.view_offset : Dim(0);
    if (!(value.offset == offset)) {
      problem("node {} {}: %{} lies at offset {}, its fake says {}", index, node.op, id,
              to_string(value.offset), to_string(offset));
    }
  }

  void record_mutations(int index, const std::vector<const SchemaArgument*>& tensors) {
    const Node& node = graph_.nodes[index];
    std::vector<int> expected;
    for (size_t i = 0; i < tensors.size(); ++i) {
      if (tensors[i]->mutated && exists(node.inputs[i])) expected.push_back(static_cast<int>(i));
    }
    std::vector<int> recorded;
    for (const Mutation& mutation : node.mutations) recorded.push_back(mutation.input);
    if (recorded != expected) {
      return problem("node {} {}: mutates arguments [{}], by the schema [{}]", index, node.op,
                     fmt::join(recorded, ", "), fmt::join(expected, ", "));
    }
    for (const Mutation& mutation : node.mutations) {
      define(index, mutation.version);
      if (exists(mutation.version)) record_write(index, node.inputs[mutation.input], mutation.version);
    }
  }

  void record_write(int index, ValueId before, ValueId after) {
    const GraphValue& old = graph_.values[before];
    const GraphValue& version = graph_.values[after];
    if (version.storage != old.storage || !(version.offset == old.offset) || !(version.meta == old.meta)) {
      problem("node {} {}: %{} is no version of %{}", index, graph_.nodes[index].op, after, before);
    }
    writes_[old.storage].push_back(after);
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
