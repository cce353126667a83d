#include "program/split.h"

namespace musaic {

std::vector<Segment> split(const Graph& graph, const OpRegistry& registry, bool whole) {
  const int num_nodes = static_cast<int>(graph.nodes.size());
  if (whole) return {{false, 0, num_nodes}};
  std::vector<Segment> segments;
  int begin = 0;
  for (int i = 0; i < num_nodes; ++i) {
    if (!registry.get(graph.nodes[i].op).is_break) continue;
    if (begin < i) segments.push_back({false, begin, i});
    segments.push_back({true, i, i + 1});
    begin = i + 1;
  }
  if (begin < num_nodes) segments.push_back({false, begin, num_nodes});
  return segments;
}

std::vector<Segment> join_breaks(const std::vector<Segment>& segments) {
  std::vector<Segment> joined;
  bool is_open = false;  // the last one has breaks alone
  for (const Segment& segment : segments) {
    if (is_open) {
      joined.back().end = segment.end;
    } else {
      joined.push_back({false, segment.begin, segment.end});
    }
    is_open = segment.is_break;
  }
  return joined;
}

}  // namespace musaic
