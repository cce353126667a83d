#pragma once

#include <cstddef>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "program/target.h"
#include "tensor/dim.h"

namespace musaic {

struct PlannedNode {
  int node = 0;                    // index in the graph
  const Kernel* kernel = nullptr;  // nullptr: MissingKernel::kPlan
  size_t workspace_offset = 0;
  size_t workspace_bytes = 0;
};

// One bucket of one graph: the kernel of every node that has one (views have none), and the place of every
// temporary and workspace in one arena. Two that are alive at the same time never overlap.
struct Plan {
  static constexpr size_t kExternal = SIZE_MAX;  // inputs, weights, constants, states, graph outputs

  DimBindings bindings;
  std::vector<PlannedNode> nodes;
  std::vector<size_t> offsets;  // by storage id
  size_t arena_bytes = 0;
};

inline constexpr size_t kArenaAlignment = 64;  // a cache line and the widest vector

// A node without a kernel: a LoadError (op, device, types and what there is), or planned with the kernel
// nullptr and no workspace, for a device whose kernels are still to be written.
enum class MissingKernel { kThrow, kPlan };

// The kernel of every node; nullptr: a view, or none. They are the same for every bucket, and pieces of equal
// structure are asked once. Nodes share the weights that others of the graph have packed.
std::vector<const Kernel*> choose_kernels(const Graph& graph, const Target& target,
                                          MissingKernel missing = MissingKernel::kThrow);

// Weights and the layouts that kernels have them packed in, of one or more graphs.
using PackedWeights = std::set<std::pair<std::string, std::string>>;

void add_packed_weights(const Graph& graph, std::span<const Kernel* const> kernels, PackedWeights& packed);
// Gives a node that reads one of `packed` the kernel that reads that copy, where there is one, so that the
// weight is not kept or mapped a second time.
void share_packed_weights(const Graph& graph, const Target& target, const PackedWeights& packed,
                          std::span<const Kernel*> kernels);

// REQUIRES: `kernels` are those of choose_kernels.
Plan plan_memory(const Graph& graph, const Target& target, const DimBindings& bindings,
                 std::span<const Kernel* const> kernels);
Plan plan_memory(const Graph& graph, const Target& target, const DimBindings& bindings,
                 MissingKernel missing = MissingKernel::kThrow);

// First and last node that touches each storage, by storage id; {-1, -1} where none does.
std::vector<std::pair<int, int>> storage_lifetimes(const Graph& graph);

}  // namespace musaic
