#include "export/torch_part.h"

#include <fmt/format.h>

#include <set>

#include "base/status.h"
#include "program/split.h"

namespace musaic {
namespace {

std::vector<ValueId> computed_by(const Node& node) {
  std::vector<ValueId> values = node.outputs;
  for (const Mutation& mutation : node.mutations) values.push_back(mutation.version);
  return values;
}

std::set<ValueId> read_from(const Graph& graph, int begin) {
  std::set<ValueId> read;
  for (size_t i = static_cast<size_t>(begin); i < graph.nodes.size(); ++i)
    read.insert(graph.nodes[i].inputs.begin(), graph.nodes[i].inputs.end());
  return read;
}

}  // namespace

TorchPart whole_part(const Graph& graph) {
  TorchPart part{.graph = graph, .begin = 0, .end = static_cast<int>(graph.nodes.size()), .results = {}};
  for (const auto& output : graph.outputs) {
    if (graph.name != "head" || output.first == "logits") part.results.push_back(output);
  }
  return part;
}

TorchPart piece_part(const Graph& graph, const OpRegistry& registry, int index) {
  const std::vector<Segment> segments = split(graph, registry, /*whole=*/false);
  if (index < 0 || index >= static_cast<int>(segments.size()))
    fail_load("--piece {}: the {} graph has pieces 0 to {}", index, graph.name, segments.size() - 1);
  const Segment& segment = segments[static_cast<size_t>(index)];
  TorchPart part{.graph = graph, .begin = segment.begin, .end = segment.end, .results = {}};
  const std::set<ValueId> read_later = read_from(graph, segment.end);
  for (int i = segment.begin; i < segment.end; ++i) {
    for (ValueId id : computed_by(graph.nodes[static_cast<size_t>(i)])) {
      if (read_later.count(id) > 0) part.results.emplace_back(fmt::format("v{}", id), id);
      for (const auto& output : graph.outputs) {
        if (output.second == id) part.results.push_back(output);
      }
    }
  }
  return part;
}

}  // namespace musaic
