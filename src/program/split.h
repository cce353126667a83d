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

// A device with this feature records breaks too: their kernels read on the device how long sequences are.
inline constexpr const char* kRecordedBreaks = "recorded_breaks";

// The same nodes in pieces alone: a break is the head of the piece behind it.
std::vector<Segment> join_breaks(const std::vector<Segment>& segments);

}  // namespace musaic
