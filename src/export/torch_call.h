#pragma once

#include <functional>
#include <string>

#include "export/torch_ops.h"
#include "ir/graph.h"
#include "ir/schema.h"

namespace musaic {

// A node that is written as a Python call. What it points to outlives it.
struct TorchCall {
  const Schema& schema;
  const Graph& graph;
  const Node& node;
  std::function<std::string(ValueId id)> expression;  // of a tensor; asked only for those that are written
};

// The form with the node's arguments in it. Throws LoadError for an argument that the form does not know.
std::string fill_in(const TorchExpression& form, const TorchCall& call);

// torch.ops.ns.op(...) with the schema's arguments in order.
std::string custom_call(const TorchCall& call);

}  // namespace musaic
