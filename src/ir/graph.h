#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ir/attributes.h"
#include "ir/registry.h"
#include "tensor/meta.h"

namespace musaic {

using ValueId = int;
inline constexpr ValueId kNoValue = -1;

enum class ValueKind { kInput, kWeight, kConstant, kState, kNode };

// A value is written once. Mutation makes a new value with the same storage.
struct GraphValue {
  std::string name;  // inputs, weights, constants, states; node values get their number
  ValueKind kind = ValueKind::kNode;
  Meta meta;
  int node = -1;               // that computes it; -1 for the other kinds
  ValueId storage = kNoValue;  // the value that owns the memory: itself, or what it views or mutates
  Dim offset = 0;              // in values, from the start of the storage
  std::vector<std::string> weight_parts;  // kWeight: tensors stacked along dimension 0
  std::shared_ptr<const std::vector<std::byte>>
      constant;  // kConstant: its bytes; shared by copies of the graph
};

struct Mutation {
  int input;        // which tensor argument is written in place
  ValueId version;  // its value afterwards
};

struct Node {
  std::string op;
  std::vector<ValueId> inputs;  // schema order of the tensor arguments; kNoValue: absent
  std::vector<ValueId> outputs;
  std::vector<Mutation> mutations;
  Attributes attributes;
};

// The IR: values and nodes in execution order.
struct Graph {
  std::string name;  // "extend", "decode", "head"
  Device device;
  std::vector<GraphValue> values;
  std::vector<Node> nodes;
  std::vector<std::pair<std::string, ValueId>> outputs;

  ValueId find(std::string_view name) const;  // by name of an input, weight, constant or state; kNoValue
  ValueId output(std::string_view name) const;
};

// Every breach of the rules, one sentence each: order of definition and use, arity against the schema,
// recomputed fakes equal to the recorded metas, a version read after a later write, aliases of storage.
std::vector<std::string> verify(const Graph& graph, const OpRegistry& registry);

// The text form.
std::string print(const Graph& graph);

}  // namespace musaic
