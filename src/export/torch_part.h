#pragma once

#include <string>
#include <utility>
#include <vector>

#include "ir/graph.h"

namespace musaic {

// The nodes of a graph that one Python function stands for, and what it returns. The graph outlives it.
struct TorchPart {
  const Graph& graph;
  int begin = 0;  // nodes [begin, end)
  int end = 0;
  std::vector<std::pair<std::string, ValueId>> results;  // by name
};

// The whole graph with its outputs; of a head only the logits: tokens are drawn elsewhere.
TorchPart whole_part(const Graph& graph);

// Piece or break number `index` of those that split gives: it returns what later ones read, `v12` for %12,
// and the graph's outputs that it computes. Throws LoadError when there is no such piece.
TorchPart piece_part(const Graph& graph, const OpRegistry& registry, int index);

}  // namespace musaic
