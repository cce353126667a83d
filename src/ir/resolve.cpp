#include <fmt/format.h>

#include <map>

#include "ir/parsed_graph.h"
#include "ir/spelling.h"

namespace musaic {
namespace {

using Kind = ParsedReference::Kind;

std::string spelled(const ParsedReference& reference) {
  return reference.kind == Kind::kNode ? fmt::format("%{}", reference.number)
                                       : "@" + spell_name(reference.name);
}

class Resolver {
 public:
  Resolver(const ParsedGraph& parsed, const TextCursor& cursor) : parsed_(parsed), cursor_(cursor) {}

  Graph run() {
    graph_.name = parsed_.name;
    graph_.device = parsed_.device;
    number_values();
    for (const ParsedValue& leaf : parsed_.leaves) place(leaf, -1);
    for (const ParsedNode& node : parsed_.nodes) add_node(node);
    for (const auto& [name, value] : parsed_.outputs) graph_.outputs.emplace_back(name, id(value));
    return std::move(graph_);
  }

 private:
  // Numbers are ids; the leaves have those that are left over.
  void number_values() {
    for (const ParsedValue& leaf : parsed_.leaves) declare(leaf.self);
    for (const ParsedNode& node : parsed_.nodes) {
      for (const ParsedValue& output : node.outputs) declare(output.self);
      for (const ParsedMutation& mutation : node.mutations) declare(mutation.version);
    }
    const size_t size = leaves_.size() + nodes_.size();
    graph_.values.resize(size);
    const bool dense = nodes_.empty() || nodes_.rbegin()->first < static_cast<int>(size);
    std::vector<bool> taken(size, false);
    if (dense) {
      for (auto& [number, value] : nodes_) taken[value = number] = true;
    }
    ValueId next = 0;
    const auto take_next = [&](ValueId& value) {
      while (taken[next]) ++next;
      value = next++;
    };
    for (const ParsedValue& leaf : parsed_.leaves) take_next(leaves_[leaf.self.name]);
    if (dense) return;
    for (int number : order_) take_next(nodes_[number]);
  }

  void declare(const ParsedReference& self) {
    const bool is_new = self.kind == Kind::kNode ? nodes_.emplace(self.number, kNoValue).second
                                                 : leaves_.emplace(self.name, kNoValue).second;
    if (!is_new) cursor_.fail_at(self.at, spelled(self) + " is there already");
    if (self.kind == Kind::kNode) order_.push_back(self.number);
  }

  ValueId id(const ParsedReference& reference) const {
    if (reference.kind == Kind::kNone) return kNoValue;
    if (reference.kind == Kind::kNode) {
      const auto found = nodes_.find(reference.number);
      if (found != nodes_.end()) return found->second;
    } else if (const auto found = leaves_.find(reference.name); found != leaves_.end()) {
      return found->second;
    }
    cursor_.fail_at(reference.at, "there is no " + spelled(reference));
  }

  ValueId place(const ParsedValue& parsed, int node) {
    const ValueId self = id(parsed.self);
    GraphValue& value = graph_.values[self];
    value = parsed.value;
    value.name = value.kind == ValueKind::kNode ? std::to_string(self) : parsed.self.name;
    value.node = node;
    value.storage = parsed.storage ? id(*parsed.storage) : self;
    return self;
  }

  void add_node(const ParsedNode& parsed) {
    const int index = static_cast<int>(graph_.nodes.size());
    Node node{.op = parsed.op, .inputs = {}, .outputs = {}, .mutations = {}, .attributes = parsed.attributes};
    for (const ParsedReference& input : parsed.inputs) node.inputs.push_back(id(input));
    for (const ParsedValue& output : parsed.outputs) node.outputs.push_back(place(output, index));
    for (const ParsedMutation& mutation : parsed.mutations)
      node.mutations.push_back({argument(mutation, node), place_version(mutation, index)});
    graph_.nodes.push_back(std::move(node));
  }

  int argument(const ParsedMutation& mutation, const Node& node) const {
    const ValueId before = id(mutation.before);
    int found = -1;
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      if (node.inputs[i] != before || (mutation.argument && *mutation.argument != static_cast<int>(i)))
        continue;
      if (found >= 0)
        cursor_.fail_at(mutation.at,
                        spelled(mutation.before) + " is passed twice: say which with 'at NUMBER'");
      found = static_cast<int>(i);
    }
    if (found < 0 || before == kNoValue)
      cursor_.fail_at(mutation.before.at, "what is written is no argument of " + node.op);
    return found;
  }

  ValueId place_version(const ParsedMutation& mutation, int node) {
    if (mutation.differing) return place(*mutation.differing, node);
    const ValueId self = id(mutation.version);
    const GraphValue& before = graph_.values[id(mutation.before)];
    graph_.values[self] = {.name = std::to_string(self),
                           .kind = ValueKind::kNode,
                           .meta = before.meta,
                           .node = node,
                           .storage = before.storage,
                           .offset = before.offset};
    return self;
  }

  const ParsedGraph& parsed_;
  const TextCursor& cursor_;
  Graph graph_;
  std::map<std::string, ValueId> leaves_;
  std::map<int, ValueId> nodes_;
  std::vector<int> order_;  // numbers of node values as they appear
};

}  // namespace

Graph resolve(const ParsedGraph& parsed, const TextCursor& cursor) {
  return Resolver(parsed, cursor).run();
}

}  // namespace musaic
