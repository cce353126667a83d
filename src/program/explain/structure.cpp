#include "program/explain/structure.h"

#include <fmt/format.h>

#include <map>
#include <string>

namespace musaic {
namespace {

// Numbers keys as they first occur.
class Numbering {
 public:
  int number(const std::string& key) {
    return numbers_.emplace(key, static_cast<int>(numbers_.size())).first->second;
  }

 private:
  std::map<std::string, int> numbers_;
};

std::string type_of(const Graph& graph, ValueId id) {
  if (id == kNoValue) return "None";
  const GraphValue& value = graph.values[id];
  return fmt::format("{}:{}+{}", static_cast<int>(value.kind), to_string(value.meta),
                     to_string(value.offset));
}

std::string node_key(const Graph& graph, const Node& node) {
  std::string key = node.op;
  for (const auto& [name, value] : node.attributes.entries())
    key += fmt::format(" {}={}", name, to_string(value));
  for (ValueId id : node.inputs) key += " " + type_of(graph, id);
  key += " ->";
  for (ValueId id : node.outputs) key += " " + type_of(graph, id);
  return key;
}

// The nodes' keys with the values numbered as the segment first meets them.
std::string segment_key(const Graph& graph, const Segment& segment) {
  std::map<ValueId, int> met;
  const auto number = [&](ValueId id) {
    return id == kNoValue ? -1 : met.emplace(id, static_cast<int>(met.size())).first->second;
  };
  std::string key;
  for (int i = segment.begin; i < segment.end; ++i) {
    const Node& node = graph.nodes[i];
    key += node_key(graph, node);
    for (ValueId id : node.inputs) key += fmt::format(" {}", number(id));
    for (ValueId id : node.outputs)
      key += fmt::format(" {} in {}", number(id), number(graph.values[id].storage));
    for (const Mutation& mutation : node.mutations)
      key += fmt::format(" {}!{}", mutation.input, number(mutation.version));
    key += "\n";
  }
  return key;
}

}  // namespace

std::vector<int> node_structures(const Graph& graph) {
  Numbering numbering;
  std::vector<int> structures;
  for (const Node& node : graph.nodes) structures.push_back(numbering.number(node_key(graph, node)));
  return structures;
}

std::vector<int> segment_structures(const Graph& graph, std::span<const Segment> segments) {
  Numbering pieces;
  Numbering breaks;
  std::vector<int> structures;
  for (const Segment& segment : segments) {
    structures.push_back((segment.is_break ? breaks : pieces).number(segment_key(graph, segment)));
  }
  return structures;
}

}  // namespace musaic
