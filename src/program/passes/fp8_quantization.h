#pragma once

#include "ir/graph.h"

namespace musaic {

// Whether the node quantizes float rows in groups of 128 into fresh rows of FP8, as fused ops do.
bool is_plain_fp8_quantization(const Graph& graph, const Node& node);

}  // namespace musaic
