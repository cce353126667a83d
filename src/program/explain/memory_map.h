#pragma once

#include "ir/graph.h"
#include "program/explain/explanation.h"
#include "program/plan.h"

namespace musaic {

// The arena of a plan over the graph's nodes.
MemoryMap map_memory(const Graph& graph, const Plan& plan);

}  // namespace musaic
