#pragma once

#include <vector>

#include "ir/graph.h"

namespace musaic {

// A run of nodes [begin, end): a piece that is captured, or one break between pieces.
struct Segment {
  bool is_break = false;
  int begin = 0;
  int end = 0;
};

// Cuts before and after every node whose op is a break; with `whole` the graph is one piece.
std::vector<Segment> split(const Graph& graph, const OpRegistry& registry, bool whole);

}  // namespace musaic
