#include "ops/moe_route/moe_route.h"

#include "base/status.h"
#include "ops/fake_checks.h"
#include "ops/op_samples.h"

namespace musaic {
namespace {

constexpr int64_t kMaxExperts = 1024;

Dim grouped_rows(const std::string& layout, const Dim& tokens, int64_t top_k, int64_t experts,
                 int64_t alignment) {
  const Dim choices = tokens * top_k;
  if (layout == "masked") return tokens * experts;
  if (layout == "contiguous") return choices + min(choices, experts) * (alignment - 1);
  return choices;
}

}  // namespace

std::vector<FakeOutput> route_outputs(const FakeCall& call, const DimShape& choices, int64_t experts) {
  const int64_t top_k = choices[1].constant();
  const int64_t alignment = call.attributes.get_int("alignment");
  const std::string& layout = call.attributes.get_string("layout");
  if (experts <= 0 || experts > kMaxExperts || top_k > experts)
    fail_load("moe_route: num_experts is {}, expected {} to {}", experts, top_k, kMaxExperts);
  if (alignment <= 0) fail_load("moe_route: alignment is {}, expected at least 1", alignment);
  if (layout != "compact" && layout != "contiguous" && layout != "masked")
    fail_load("moe_route: layout is {}, expected compact, contiguous or masked", layout);
  const auto ints = [&](DimShape shape) {
    return FakeOutput{Meta::contiguous(DType::kI32, std::move(shape), call.input(0).device)};
  };
  const Dim rows = grouped_rows(layout, choices[0], top_k, experts, alignment);
  return {ints({rows}), ints(choices), ints({experts}), ints({experts})};
}

namespace {

std::vector<FakeOutput> fake_moe_route(const FakeCall& call) {
  expect_rank(call, 0, 2);
  expect_dtype(call, 0, DType::kI32);
  expect_contiguous(call, 0);
  const DimShape choices = {call.input(0).dim(0), constant_dim(call, 0, 1)};
  return route_outputs(call, choices, call.attributes.get_int("num_experts"));
}

void cost_moe_route(const CostQuery& query, CallCost& cost) {
  cost.float_ops = 0.0;
  cost.read[0] = 2.0 * query.elements(0);  // to count, then to place
}

}  // namespace

const char* name_of(ExpertLayout layout) {
  switch (layout) {
    case ExpertLayout::kContiguous:
      return "contiguous";
    case ExpertLayout::kMasked:
      return "masked";
    case ExpertLayout::kCompact:
      break;
  }
  return "compact";
}

ExpertRows moe_route(Value experts, int num_experts, ExpertLayout layout) {
  const auto out = experts.builder().call(
      "musaic::moe_route", {experts},
      {{"num_experts", int64_t{num_experts}}, {"layout", std::string(name_of(layout))}});
  return {out[0], out[1], out[2], out[3]};
}

int64_t start_alignment(const Attributes& attributes) {
  const std::string& layout = attributes.get_string("layout");
  if (layout == "masked") return 0;
  return layout == "contiguous" ? attributes.get_int("alignment") : 1;
}

void define_moe_route(OpRegistry& registry) {
  registry.define(
      "musaic::moe_route(Tensor experts, int num_experts, str layout=\"compact\", int alignment=128) -> "
      "(Tensor, "
      "Tensor, Tensor, Tensor)",
      {.schema = {}, .fake = fake_moe_route, .samples = moe_route_samples, .cost = cost_moe_route});
}

}  // namespace musaic
