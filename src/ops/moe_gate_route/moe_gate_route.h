#pragma once

#include "ops/moe_gate/moe_gate.h"
#include "ops/moe_route/moe_route.h"

namespace musaic {

struct RoutedChoice {
  Value weights;  // [tokens, top_k]  f32
  ExpertRows groups;
};

// musaic::moe_gate_route: moe_gate, and moe_route of the experts that it chooses, which nobody else sees.
RoutedChoice moe_gate_route(const MoeGateArguments& arguments, ExpertLayout layout = ExpertLayout::kCompact);

void define_moe_gate_route(OpRegistry& registry);
void add_moe_gate_route_cpu(OpRegistry& registry);
void add_moe_gate_route_gpu(OpRegistry& registry);

}  // namespace musaic
