#include "cli/step_cost.h"

#include <algorithm>

namespace musaic {
namespace {

bool is_product(const Node& node) {
  return node.op == "aten::linear" || node.op == "musaic::linear_q8";
}

}  // namespace

StepCost& StepCost::operator+=(const StepCost& other) {
  bytes += other.bytes;
  int8_ops += other.int8_ops;
  float_ops += other.float_ops;
  return *this;
}

const GraphValue* product_weight(const Graph& graph, const Node& node) {
  if (!is_product(node)) return nullptr;
  for (ValueId id : node.inputs) {
    if (id == kNoValue) continue;
    const GraphValue& value = graph.values[id];
    if (value.kind == ValueKind::kWeight && value.meta.rank() == 2) return &value;
  }
  return nullptr;
}

StepCost cost_of_products(const Graph& graph, double rows) {
  StepCost cost;
  for (const Node& node : graph.nodes) {
    const GraphValue* weight = product_weight(graph, node);
    if (weight == nullptr) continue;
    const int64_t elements = weight->meta.dim(0).constant() * weight->meta.dim(1).constant();
    cost.bytes += static_cast<double>(byte_size(weight->meta.dtype, elements));
    (node.op == "aten::linear" ? cost.float_ops : cost.int8_ops) +=
        2.0 * static_cast<double>(elements) * rows;
  }
  return cost;
}

double least_seconds(const StepCost& cost, const MachineLimits& limits) {
  const double reading = cost.bytes / limits.read_bytes_per_second;
  const double computing =
      cost.int8_ops / limits.best_int8_ops_per_second() + cost.float_ops / limits.float_ops_per_second;
  return std::max(reading, computing);
}

}  // namespace musaic
