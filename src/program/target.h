#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "device/backend.h"
#include "ir/builder.h"

namespace musaic {

// The device that a graph is prepared for, and the ops there are.
struct Target {
  const OpRegistry& registry;
  Device device;
  const Capabilities& capabilities;
};

// The kernel that runs a node on the target, or nullptr.
const Kernel* find_kernel(const Target& target, const Graph& graph, const Node& node);

// Whether a kernel of the node's op takes the node.
bool takes(const Kernel& kernel, const Target& target, const Graph& graph, const Node& node);

// Whether the target has a kernel for a call with these inputs (undefined: absent).
bool supports(const Target& target, std::string_view op, std::span<const Value> inputs,
              const Attributes& attributes);

// The same of arguments by their types alone (nullptr: absent).
bool supports(const Target& target, std::string_view op, std::span<const Meta* const> inputs,
              const Attributes& attributes);

// "cpu has no ns::op": the words of a pass that finds the fused op missing.
std::string missing_op(const Target& target, std::string_view op);

}  // namespace musaic
