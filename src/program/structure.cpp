#include "program/structure.h"

#include <map>
#include <unordered_map>

namespace musaic {
namespace {

void mix(uint64_t& hash, uint64_t value) {
  constexpr uint64_t kPrime = 1099511628211u;  // FNV-1a's for 64 bits
  hash = (hash ^ value) * kPrime;
}

// Numbers values in the order in which they appear.
class LocalNumbers {
 public:
  int of(ValueId id) { return numbers_.emplace(id, static_cast<int>(numbers_.size())).first->second; }

 private:
  std::unordered_map<ValueId, int> numbers_;
};

// A node's values in one fixed order: inputs, outputs, versions.
std::vector<ValueId> values_of(const Node& node) {
  std::vector<ValueId> ids = node.inputs;
  ids.insert(ids.end(), node.outputs.begin(), node.outputs.end());
  for (const Mutation& mutation : node.mutations) ids.push_back(mutation.version);
  return ids;
}

// Compares two runs of nodes value by value, numbering each side.
class StructureComparison {
 public:
  explicit StructureComparison(const Graph& graph) : graph_(graph) {}

  bool equal(const Node& a, const Node& b) {
    const std::vector<ValueId> left = values_of(a);
    const std::vector<ValueId> right = values_of(b);
    if (a.op != b.op || left.size() != right.size() || a.mutations.size() != b.mutations.size() ||
        !(a.attributes == b.attributes))
      return false;
    for (size_t i = 0; i < left.size(); ++i) {
      if (!equal(left[i], right[i])) return false;
    }
    return true;
  }

 private:
  bool equal(ValueId a, ValueId b) {
    if (a == kNoValue || b == kNoValue) return a == b;
    const GraphValue& left = graph_.values[a];
    const GraphValue& right = graph_.values[b];
    return left_.of(a) == right_.of(b) &&
           left_storages_.of(left.storage) == right_storages_.of(right.storage) && left.kind == right.kind &&
           left.meta == right.meta && left.offset == right.offset &&
           left.weight_parts.size() == right.weight_parts.size();
  }

  const Graph& graph_;
  LocalNumbers left_;
  LocalNumbers right_;
  LocalNumbers left_storages_;  // numbered apart: it does not matter which value a storage began with
  LocalNumbers right_storages_;
};

}  // namespace

uint64_t structure_hash(const Graph& graph, const Segment& segment) {
  uint64_t hash = 14695981039346656037u;  // FNV-1a's for 64 bits
  LocalNumbers numbers;
  for (int i = segment.begin; i < segment.end; ++i) {
    const Node& node = graph.nodes[i];
    for (unsigned char c : node.op) mix(hash, c);
    for (ValueId id : values_of(node)) {
      if (id == kNoValue) {
        mix(hash, 0);
        continue;
      }
      const GraphValue& value = graph.values[id];
      mix(hash, 1 + static_cast<uint64_t>(numbers.of(id)));
      mix(hash, static_cast<uint64_t>(value.kind));
      mix(hash, static_cast<uint64_t>(value.meta.dtype));
      for (const Dim& dim : value.meta.shape)
        mix(hash, dim.is_constant() ? static_cast<uint64_t>(dim.constant()) : ~uint64_t{0});
    }
  }
  return hash;
}

bool has_equal_structure(const Graph& graph, const Segment& a, const Segment& b) {
  if (a.is_break != b.is_break || a.end - a.begin != b.end - b.begin) return false;
  StructureComparison comparison(graph);
  for (int i = 0; i < a.end - a.begin; ++i) {
    if (!comparison.equal(graph.nodes[a.begin + i], graph.nodes[b.begin + i])) return false;
  }
  return true;
}

StructureClasses structure_classes(const Graph& graph, std::span<const Segment> segments) {
  StructureClasses classes;
  std::multimap<uint64_t, int> by_hash;  // classes
  for (size_t i = 0; i < segments.size(); ++i) {
    const uint64_t hash = structure_hash(graph, segments[i]);
    int found = -1;
    const auto [begin, end] = by_hash.equal_range(hash);
    for (auto it = begin; it != end && found < 0; ++it) {
      const Segment& known = segments[classes.representatives[it->second]];
      if (has_equal_structure(graph, known, segments[i])) found = it->second;
    }
    if (found < 0) {
      found = static_cast<int>(classes.representatives.size());
      classes.representatives.push_back(static_cast<int>(i));
      by_hash.emplace(hash, found);
    }
    classes.class_of.push_back(found);
  }
  return classes;
}

}  // namespace musaic
