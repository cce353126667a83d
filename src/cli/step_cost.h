#pragma once

#include "cli/machine_limits.h"
#include "ir/graph.h"

namespace musaic {

// What a step cannot do without: the weights of its matrix products read once, their multiply-adds, and the
// reading of the past.
struct StepCost {
  double bytes = 0.0;
  double int8_ops = 0.0;
  double float_ops = 0.0;

  StepCost& operator+=(const StepCost& other);
};

// The matrix products of a graph for `rows` rows.
StepCost cost_of_products(const Graph& graph, double rows);

// The weight of a matrix product, or nullptr for every other node.
const GraphValue* product_weight(const Graph& graph, const Node& node);

// The time that the machine needs at least: reads and arithmetic overlap.
double least_seconds(const StepCost& cost, const MachineLimits& limits);

}  // namespace musaic
