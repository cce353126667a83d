#include "ir/cost.h"

#include "ir/op.h"

namespace musaic {

CallCost cost_of_call(const OpDef& op, const CostQuery& query) {
  CallCost cost;
  cost.read.assign(query.inputs.size(), 0.0);
  cost.written.assign(query.inputs.size(), 0.0);
  for (size_t i = 0; i < query.inputs.size(); ++i) cost.read[i] = query.inputs[i].elements();
  for (const CostTensor& output : query.outputs) cost.float_ops += output.elements();
  const auto arguments = op.schema.tensors();
  for (size_t i = 0; i < query.inputs.size(); ++i) {
    if (!arguments[i]->mutated) continue;
    cost.written[i] = query.inputs[i].elements();
    cost.float_ops += cost.written[i];
  }
  if (op.cost != nullptr) op.cost(query, cost);
  return cost;
}

}  // namespace musaic
