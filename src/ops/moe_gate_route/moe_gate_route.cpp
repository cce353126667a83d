#include "ops/moe_gate_route/moe_gate_route.h"

#include <fmt/format.h>

#include "ops/fake_checks.h"
#include "ops/op_samples.h"

namespace musaic {
namespace {

constexpr const char* kName = "musaic::moe_gate_route";
constexpr const char* kGateAttributes[] = {"top_k", "num_groups", "top_groups", "renormalize", "scale"};

std::vector<FakeOutput> fake_moe_gate_route(const FakeCall& call) {
  const DimShape choices = expect_moe_gate(call);
  std::vector<FakeOutput> outputs = route_outputs(call, choices, constant_dim(call, 0, 1));
  outputs.insert(outputs.begin(), {Meta::contiguous(DType::kF32, choices, call.input(0).device)});
  return outputs;
}

Attributes only(const Attributes& attributes, std::span<const char* const> names) {
  Attributes some;
  for (const char* name : names) some.set(name, attributes.entries().find(name)->second);
  return some;
}

std::vector<Value> decompose_moe_gate_route(GraphBuilder& builder, std::span<const Value> inputs,
                                            const Attributes& attributes) {
  constexpr const char* kRouteAttributes[] = {"layout", "alignment"};
  const auto choice = builder.call("musaic::moe_gate", {inputs[0]}, only(attributes, kGateAttributes));
  Attributes route = only(attributes, kRouteAttributes);
  route.set("num_experts", inputs[0].dim(1).constant());
  const auto groups = builder.call("musaic::moe_route", {choice[1]}, route);
  return {choice[0], groups[0], groups[1], groups[2], groups[3]};
}

void cost_moe_gate_route(const CostQuery& query, CallCost& cost) {
  cost.float_ops = (4.0 + static_cast<double>(query.attributes.get_int("top_k"))) * query.elements(0);
}

// The gate's samples, each in another layout.
std::vector<OpSample> moe_gate_route_samples() {
  constexpr const char* kLayouts[] = {"compact", "contiguous", "masked"};
  constexpr int64_t kAlignment = 4;
  std::vector<OpSample> samples = moe_gate_samples();
  for (size_t i = 0; i < samples.size(); ++i) {
    OpSample& sample = samples[i];
    const Shape choices = sample.outputs[0].shape;
    const int64_t experts = sample.inputs[0].tensor.tensor().shape[1];
    const std::string layout = kLayouts[i % 3];
    int64_t rows = choices.elements();
    if (layout == "contiguous") rows += std::min(rows, experts) * (kAlignment - 1);
    if (layout == "masked") rows = choices[0] * experts;
    sample.name += ", " + layout;
    sample.attributes.set("layout", layout);
    sample.attributes.set("alignment", kAlignment);
    sample.outputs = {{DType::kF32, choices},
                      {DType::kI32, {rows}},
                      {DType::kI32, choices},
                      {DType::kI32, {experts}},
                      {DType::kI32, {experts}}};
    sample.partial = true;
  }
  return samples;
}

}  // namespace

RoutedChoice moe_gate_route(const MoeGateArguments& a, ExpertLayout layout) {
  const auto out = a.logits.builder().call(kName, {a.logits},
                                           {{"top_k", int64_t{a.top_k}},
                                            {"num_groups", int64_t{a.num_groups}},
                                            {"top_groups", int64_t{a.top_groups}},
                                            {"renormalize", a.renormalize},
                                            {"scale", a.scale},
                                            {"layout", std::string(name_of(layout))}});
  return {out[0], {out[1], out[2], out[3], out[4]}};
}

void define_moe_gate_route(OpRegistry& registry) {
  registry.define(
      "musaic::moe_gate_route(Tensor logits, int top_k, int num_groups=1, int top_groups=1, bool "
      "renormalize=False, float scale=1.0, str layout=\"compact\", int alignment=128) -> (Tensor, Tensor, "
      "Tensor, Tensor, Tensor)",
      {.schema = {},
       .fake = fake_moe_gate_route,
       .decomposition = decompose_moe_gate_route,
       .samples = moe_gate_route_samples,
       .cost = cost_moe_gate_route});
}

}  // namespace musaic
