#pragma once

#include <span>
#include <vector>

#include "ir/graph.h"
#include "program/split.h"

namespace musaic {

// A number for each node: equal where op, attributes and the types of arguments and results are equal.
std::vector<int> node_structures(const Graph& graph);

// A number for each segment, pieces and breaks counted apart, in the order in which they first occur: equal
// where the nodes are, and so is the flow of data between them and from outside. Names do not matter.
std::vector<int> segment_structures(const Graph& graph, std::span<const Segment> segments);

}  // namespace musaic
