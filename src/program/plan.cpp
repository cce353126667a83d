#include "program/plan.h"

#include <algorithm>

#include "base/status.h"
#include "program/structure.h"

namespace musaic {
namespace {

// A stretch of node indices, both ends included, during which bytes must stay in place.
struct Lifetime {
  int first;
  int last;
  size_t bytes;
  size_t* offset;  // where the result goes
};

size_t aligned(size_t bytes) {
  return (bytes + kArenaAlignment - 1) / kArenaAlignment * kArenaAlignment;
}

[[noreturn]] void fail_without_kernel(const Graph& graph, const Node& node, const Target& target) {
  std::string arguments;
  for (ValueId id : node.inputs) {
    arguments +=
        (arguments.empty() ? "" : ", ") + (id == kNoValue ? "None" : to_string(graph.values[id].meta));
  }
  std::string there;
  for (const Kernel& kernel : target.registry.get(node.op).kernels) {
    there += (there.empty() ? "" : ", ") + kernel.name + " (" + kernel.device_type + ")";
  }
  fail_load("{}: no kernel on {} for ({}); there are: {}", node.op, to_string(target.device), arguments,
            there.empty() ? "none" : there);
}

size_t workspace_bytes(const Graph& graph, const Node& node, const Kernel& kernel, const Target& target,
                       const DimBindings& bindings) {
  if (kernel.workspace_bytes == nullptr) return 0;
  std::vector<const Meta*> inputs;
  std::vector<const Meta*> outputs;
  for (ValueId id : node.inputs) inputs.push_back(id == kNoValue ? nullptr : &graph.values[id].meta);
  for (ValueId id : node.outputs) outputs.push_back(&graph.values[id].meta);
  const Dim bytes = kernel.workspace_bytes({inputs, outputs, node.attributes, target.capabilities});
  return static_cast<size_t>(bytes.evaluate(bindings));
}

std::vector<bool> external_storages(const Graph& graph) {
  std::vector<bool> external(graph.values.size(), false);
  for (size_t i = 0; i < graph.values.size(); ++i) external[i] = graph.values[i].kind != ValueKind::kNode;
  for (const auto& [name, id] : graph.outputs) external[graph.values[id].storage] = true;
  return external;
}

// Greedy by size: the largest first, each at the lowest offset where nothing alive at the same time lies.
size_t assign_offsets(std::vector<Lifetime>& lifetimes) {
  std::stable_sort(lifetimes.begin(), lifetimes.end(),
                   [](const Lifetime& a, const Lifetime& b) { return a.bytes > b.bytes; });
  std::vector<const Lifetime*> placed;  // by offset
  size_t arena_bytes = 0;
  for (const Lifetime& lifetime : lifetimes) {
    size_t offset = 0;
    for (const Lifetime* other : placed) {
      const bool together = other->first <= lifetime.last && lifetime.first <= other->last;
      if (!together) continue;
      if (offset + lifetime.bytes <= *other->offset) break;
      offset = std::max(offset, aligned(*other->offset + other->bytes));
    }
    *lifetime.offset = offset;
    arena_bytes = std::max(arena_bytes, aligned(offset + lifetime.bytes));
    placed.insert(
        std::upper_bound(placed.begin(), placed.end(), &lifetime,
                         [](const Lifetime* a, const Lifetime* b) { return *a->offset < *b->offset; }),
        &lifetime);
  }
  return arena_bytes;
}

}  // namespace

std::vector<const Kernel*> choose_kernels(const Graph& graph, const Target& target, MissingKernel missing) {
  std::vector<const Kernel*> kernels(graph.nodes.size(), nullptr);
  const std::vector<Segment> segments = split(graph, target.registry, /*whole=*/false);
  const StructureClasses classes = structure_classes(graph, segments);
  for (size_t s = 0; s < segments.size(); ++s) {
    const Segment& known = segments[classes.representatives[classes.class_of[s]]];
    for (int i = segments[s].begin; i < segments[s].end; ++i) {
      const int same = known.begin + i - segments[s].begin;
      if (same < i) {
        kernels[i] = kernels[same];
        continue;
      }
      const Node& node = graph.nodes[i];
      if (target.registry.get(node.op).is_view) continue;
      kernels[i] = find_kernel(target, graph, node);
      if (kernels[i] == nullptr && missing == MissingKernel::kThrow) fail_without_kernel(graph, node, target);
    }
  }
  PackedWeights packed;
  add_packed_weights(graph, kernels, packed);
  share_packed_weights(graph, target, packed, kernels);
  return kernels;
}

void add_packed_weights(const Graph& graph, std::span<const Kernel* const> kernels, PackedWeights& packed) {
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    if (kernels[i] == nullptr || !kernels[i]->packing) continue;
    const WeightPacking& packing = *kernels[i]->packing;
    packed.emplace(graph.values[graph.nodes[i].inputs[packing.input]].name, packing.layout);
  }
}

void share_packed_weights(const Graph& graph, const Target& target, const PackedWeights& packed,
                          std::span<const Kernel*> kernels) {
  if (packed.empty()) return;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    for (const Kernel& kernel : target.registry.get(node.op).kernels) {
      if (!kernel.is_shared_only() || !takes(kernel, target, graph, node)) continue;
      const std::string& weight = graph.values[node.inputs[kernel.packing->input]].name;
      if (packed.contains({weight, kernel.packing->layout})) kernels[i] = &kernel;
    }
  }
}

std::vector<std::pair<int, int>> storage_lifetimes(const Graph& graph) {
  std::vector<std::pair<int, int>> lifetimes(graph.values.size(), {-1, -1});
  const auto touch = [&](ValueId id, int node) {
    if (id == kNoValue) return;
    auto& [first, last] = lifetimes[graph.values[id].storage];
    if (first < 0) first = node;
    last = node;
  };
  for (int i = 0; i < static_cast<int>(graph.nodes.size()); ++i) {
    for (ValueId id : graph.nodes[i].inputs) touch(id, i);
    for (ValueId id : graph.nodes[i].outputs) touch(id, i);
  }
  return lifetimes;
}

Plan plan_memory(const Graph& graph, const Target& target, const DimBindings& bindings,
                 MissingKernel missing) {
  return plan_memory(graph, target, bindings, choose_kernels(graph, target, missing));
}

Plan plan_memory(const Graph& graph, const Target& target, const DimBindings& bindings,
                 std::span<const Kernel* const> kernels) {
  Plan plan{.bindings = bindings,
            .nodes = {},
            .offsets = std::vector<size_t>(graph.values.size(), Plan::kExternal)};
  for (int i = 0; i < static_cast<int>(graph.nodes.size()); ++i) {
    const Node& node = graph.nodes[i];
    const Kernel* kernel = kernels[i];
    if (kernel == nullptr && target.registry.get(node.op).is_view) continue;
    const size_t workspace = kernel == nullptr ? 0 : workspace_bytes(graph, node, *kernel, target, bindings);
    plan.nodes.push_back({i, kernel, 0, workspace});
  }

  std::vector<Lifetime> lifetimes;
  const auto external = external_storages(graph);
  const auto storages = storage_lifetimes(graph);
  for (size_t id = 0; id < graph.values.size(); ++id) {
    const GraphValue& value = graph.values[id];
    if (external[id] || value.storage != static_cast<ValueId>(id) || storages[id].first < 0) continue;
    const size_t bytes = byte_size(value.meta.dtype, elements(value.meta.shape).evaluate(bindings));
    lifetimes.push_back({storages[id].first, storages[id].second, bytes, &plan.offsets[id]});
  }
  for (PlannedNode& node : plan.nodes) {
    if (node.workspace_bytes > 0) {
      lifetimes.push_back({node.node, node.node, node.workspace_bytes, &node.workspace_offset});
    }
  }
  plan.arena_bytes = assign_offsets(lifetimes);
  return plan;
}

}  // namespace musaic
