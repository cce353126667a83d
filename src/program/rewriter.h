#pragma once

#include <string_view>
#include <vector>

#include "ir/builder.h"

namespace musaic {

// Builds a new graph from an old one, node by node: copied, dropped or replaced. Values are mapped as they
// appear.
class Rewriter {
 public:
  Rewriter(const OpRegistry& registry, const Graph& source);
  // Leaves out the weights and constants among the values that are not to be kept.
  Rewriter(const OpRegistry& registry, const Graph& source, const std::vector<bool>& keep);

  // The new value that stands for an old one. REQUIRES: it was copied or replaced before.
  Value map(ValueId old) const;
  void replace(ValueId old, Value value) { mapped_[old] = value; }
  // The same call on mapped inputs.
  void copy(const Node& node);
  GraphBuilder& builder() { return builder_; }
  // Maps the outputs and gives the graph away.
  Graph finish();

 private:
  void adopt_leaf(ValueId id);

  const Graph& source_;
  GraphBuilder builder_;
  std::vector<Value> mapped_;
};

// What a pass asks about the graph that it reads.
class Uses {
 public:
  explicit Uses(const Graph& graph);

  // Nodes that read or write the value (by this version), in order, once an argument; an output counts as
  // node `nodes.size()`.
  const std::vector<int>& of(ValueId id) const { return uses_[id]; }
  bool only_used_by(ValueId id, int node) const { return uses_[id].size() == 1 && uses_[id][0] == node; }
  // The node that makes the value, if it is of that op and `user` alone reads the value; else -1.
  int sole_maker(ValueId id, std::string_view op, int user) const;
  // No other value shares the storage, but for the value itself.
  bool owns_storage_alone(ValueId id) const { return graph_.values[id].storage == id && sharers_[id] == 1; }
  // A graph output lies in the storage.
  bool is_output(ValueId storage) const { return outputs_[storage]; }

 private:
  const Graph& graph_;
  std::vector<std::vector<int>> uses_;
  std::vector<int> sharers_;
  std::vector<bool> outputs_;
};

// Whether a node between the two writes the memory that the value lies in.
bool is_written_between(const Graph& graph, ValueId id, int first, int last);

}  // namespace musaic
