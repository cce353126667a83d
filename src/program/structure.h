#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "program/split.h"

namespace musaic {

// What a run of nodes computes, whatever its values and weights are called: ops, attributes, types, places in
// a shared storage, and which argument is which earlier value. Equal structures have equal hashes.
uint64_t structure_hash(const Graph& graph, const Segment& segment);
bool has_equal_structure(const Graph& graph, const Segment& a, const Segment& b);

// Segments sorted into classes of equal structure, numbered by first appearance.
struct StructureClasses {
  std::vector<int> class_of;         // by segment
  std::vector<int> representatives;  // by class: its first segment
};

StructureClasses structure_classes(const Graph& graph, std::span<const Segment> segments);

}  // namespace musaic
