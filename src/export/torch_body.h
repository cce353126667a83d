#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "export/torch_part.h"
#include "ir/registry.h"

namespace musaic {

// What the functions of one module share: tensors that it holds, by attribute name, and the custom ops that
// it calls.
struct TorchShared {
  std::map<std::string, GraphValue> weights;
  std::map<std::string, GraphValue> constants;
  std::set<std::string> custom_ops;
};

// One Python function.
struct TorchBody {
  std::vector<std::string> arguments;
  std::vector<std::string> statements;
  std::vector<std::string> results;  // expressions, in the part's order
};

// Writes the nodes that the results need. An op that has neither a PyTorch form nor a decomposition, and a
// cache that is read before it is written, are LoadErrors that name it.
TorchBody write_torch_body(const TorchPart& part, const OpRegistry& registry, TorchShared& shared);

}  // namespace musaic
