#include <fmt/format.h>

#include "program/passes/pass.h"
#include "program/structure.h"

namespace musaic {

// Changes nothing: it finds the pieces that differ in names only, and says how many structures there are.
// The plan chooses kernels once for each.
Graph find_equal_pieces(const Graph& graph, const Target& target, PassReport& report) {
  const std::vector<Segment> segments = split(graph, target.registry, /*whole=*/false);
  const StructureClasses classes = structure_classes(graph, segments);
  std::vector<int> members(classes.representatives.size(), 0);
  for (int c : classes.class_of) ++members[c];
  for (size_t c = 0; c < members.size(); ++c) {
    const Segment& first = segments[classes.representatives[c]];
    if (first.is_break) continue;
    const std::string pieces = members[c] == 1 ? "1 piece" : fmt::format("{} equal pieces", members[c]);
    report.found(first.begin, fmt::format("{} of {} nodes, structure {:016x}", pieces,
                                          first.end - first.begin, structure_hash(graph, first)));
  }
  return graph;
}

}  // namespace musaic
