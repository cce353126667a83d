#include "ops/moe_gate/moe_gate.h"

#include "base/status.h"
#include "ops/fake_checks.h"
#include "ops/op_samples.h"

namespace musaic {
namespace {

constexpr int64_t kMaxExperts = 1024;  // lie on a worker's stack

}  // namespace

DimShape expect_moe_gate(const FakeCall& call) {
  expect_rank(call, 0, 2);
  expect_dtype(call, 0, DType::kF32);
  expect_dense_rows(call, 0);
  const Meta& logits = call.input(0);
  const int64_t experts = constant_dim(call, 0, 1);
  const int64_t top_k = call.attributes.get_int("top_k");
  const int64_t groups = call.attributes.get_int("num_groups");
  const int64_t top_groups = call.attributes.get_int("top_groups");
  if (groups <= 0 || experts % groups != 0 || experts > kMaxExperts)
    fail_argument(
        call, 0, fmt::format("whole groups of experts, {} of them, {} experts at most", groups, kMaxExperts));
  if (top_groups <= 0 || top_groups > groups)
    fail_load("moe_gate: top_groups is {}, expected 1 to {}", top_groups, groups);
  if (top_k <= 0 || top_k > experts / groups * top_groups)
    fail_load("moe_gate: top_k is {}, expected 1 to {}", top_k, experts / groups * top_groups);
  return {logits.dim(0), top_k};
}

namespace {

std::vector<FakeOutput> fake_moe_gate(const FakeCall& call) {
  const DimShape shape = expect_moe_gate(call);
  const Meta& logits = call.input(0);
  return {{Meta::contiguous(DType::kF32, shape, logits.device)},
          {Meta::contiguous(DType::kI32, shape, logits.device)}};
}

// Maximum, exponential, sum and quotient of each expert, and a comparison for each choice.
void cost_moe_gate(const CostQuery& query, CallCost& cost) {
  cost.float_ops = (4.0 + static_cast<double>(query.attributes.get_int("top_k"))) * query.elements(0);
}

}  // namespace

ExpertChoice moe_gate(const MoeGateArguments& a) {
  const auto out = a.logits.builder().call("musaic::moe_gate", {a.logits},
                                           {{"top_k", int64_t{a.top_k}},
                                            {"num_groups", int64_t{a.num_groups}},
                                            {"top_groups", int64_t{a.top_groups}},
                                            {"renormalize", a.renormalize},
                                            {"scale", a.scale}});
  return {out[0], out[1]};
}

void define_moe_gate(OpRegistry& registry) {
  registry.define(
      "musaic::moe_gate(Tensor logits, int top_k, int num_groups=1, int top_groups=1, bool "
      "renormalize=False, "
      "float scale=1.0) -> (Tensor, Tensor)",
      {.schema = {}, .fake = fake_moe_gate, .samples = moe_gate_samples, .cost = cost_moe_gate});
}

}  // namespace musaic
