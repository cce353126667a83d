#include "ir/registry.h"
#include "ops/moe_gate_route/moe_gate_route.h"

namespace musaic {
namespace {

Dim choice_bytes(const KernelQuery& query) {
  return elements(query.outputs[0]->shape) * static_cast<int64_t>(sizeof(int32_t));
}

void run_moe_gate_route(const KernelCall& call) {
  const Tensor& weights = call.outputs[0];
  const Tensor experts = Tensor::contiguous(call.workspace.data, DType::kI32, weights.shape);
  const Tensor chosen[] = {weights, experts};
  run_moe_gate_cpu({.inputs = call.inputs,
                    .outputs = chosen,
                    .workspace = {},
                    .attributes = call.attributes,
                    .live_rows = call.live_rows,
                    .stream = call.stream});
  run_moe_route_cpu({.inputs = {&experts, 1},
                     .outputs = call.outputs.subspan(1),
                     .workspace = {},
                     .attributes = call.attributes,
                     .live_rows = call.live_rows,
                     .stream = call.stream});
}

}  // namespace

void add_moe_gate_route_cpu(OpRegistry& registry) {
  registry.add_kernel("musaic::moe_gate_route", {.name = "moe_gate_route_cpu",
                                                 .device_type = "cpu",
                                                 .run = run_moe_gate_route,
                                                 .workspace_bytes = choice_bytes});
}

}  // namespace musaic
