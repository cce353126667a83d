#include "program/explain/memory_map.h"

#include <algorithm>

namespace musaic {
namespace {

// Where each storage in the arena is first and last touched.
std::vector<Placement> place_storages(const Graph& graph, const Plan& plan) {
  std::vector<int> placement_of(graph.values.size(), -1);
  std::vector<Placement> placements;
  const auto touch = [&](ValueId id, int node) {
    if (id == kNoValue) return;
    const ValueId storage = graph.values[id].storage;
    if (plan.offsets[storage] == Plan::kExternal) return;
    int& index = placement_of[storage];
    if (index < 0) {
      const GraphValue& value = graph.values[storage];
      index = static_cast<int>(placements.size());
      placements.push_back(
          {.name = "%" + value.name,
           .node = node,
           .offset = plan.offsets[storage],
           .bytes = byte_size(value.meta.dtype, elements(value.meta.shape).evaluate(plan.bindings)),
           .first = node});
    }
    placements[index].last = node;
  };
  for (int i = 0; i < static_cast<int>(graph.nodes.size()); ++i) {
    for (ValueId id : graph.nodes[i].inputs) touch(id, i);
    for (ValueId id : graph.nodes[i].outputs) touch(id, i);
  }
  return placements;
}

void add_workspaces(const Plan& plan, std::vector<Placement>& placements) {
  for (const PlannedNode& planned : plan.nodes) {
    if (planned.workspace_bytes == 0) continue;
    placements.push_back({.name = "workspace",
                          .node = planned.node,
                          .offset = planned.workspace_offset,
                          .bytes = planned.workspace_bytes,
                          .first = planned.node,
                          .last = planned.node,
                          .is_workspace = true});
  }
}

bool overlap(const Placement& a, const Placement& b) {
  return a.offset < b.offset + b.bytes && b.offset < a.offset + a.bytes;
}

void count_sharing(std::vector<Placement>& placements) {
  for (size_t i = 0; i < placements.size(); ++i) {
    for (size_t j = i + 1; j < placements.size(); ++j) {
      if (!overlap(placements[i], placements[j])) continue;
      ++placements[i].shares_with;
      ++placements[j].shares_with;
    }
  }
}

}  // namespace

MemoryMap map_memory(const Graph& graph, const Plan& plan) {
  MemoryMap map{.placements = place_storages(graph, plan),
                .arena_bytes = plan.arena_bytes,
                .live_bytes = std::vector<size_t>(graph.nodes.size(), 0)};
  add_workspaces(plan, map.placements);
  count_sharing(map.placements);
  std::stable_sort(map.placements.begin(), map.placements.end(), [](const Placement& a, const Placement& b) {
    return a.first != b.first ? a.first < b.first : a.offset < b.offset;
  });
  for (const Placement& placement : map.placements) {
    map.separate_bytes += placement.bytes;
    for (int i = placement.first; i <= placement.last; ++i) map.live_bytes[i] += placement.bytes;
  }
  map.peak_node = static_cast<int>(std::max_element(map.live_bytes.begin(), map.live_bytes.end()) -
                                   map.live_bytes.begin());
  return map;
}

}  // namespace musaic
