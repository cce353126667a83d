#pragma once

#include <string>
#include <vector>

#include "runner/model_graphs.h"

namespace musaic {

// The fused ops that passes wanted for these graphs and the device has no kernel of at all, so that the
// simpler ops of their decompositions run in their place. Sorted.
std::vector<std::string> decomposed_ops(const ModelGraphs& graphs, const Target& target);

// Throws LoadError when one of them is not among `allowed`: nothing takes a slower way silently.
void check_decomposed_ops(const std::vector<std::string>& decomposed, const std::vector<std::string>& allowed,
                          const Target& target);

}  // namespace musaic
