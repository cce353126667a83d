#pragma once

#include "ir/graph.h"

namespace musaic {

// The same graph on a device of another name, for what is written down: its values on the graph's device
// move along.
Graph rename_device(Graph graph, const Device& device);

}  // namespace musaic
