#include "ops/rms_norm/rms_norm.h"

#include "ops/add/add.h"
#include "ops/fake_checks.h"
#include "ops/op_samples.h"

namespace musaic {
namespace {

std::vector<FakeOutput> fake_rms_norm(const FakeCall& call) {
  const Meta& x = call.input(0);
  expect_float(call, 0);
  expect_dense_rows(call, 0);
  expect_shape(call, 1, {x.dim(-1)});
  return {{Meta::contiguous(x.dtype, x.shape, x.device)}};
}

std::vector<FakeOutput> fake_fused_add_rms_norm(const FakeCall& call) {
  expect_float(call, 0);
  expect_dense_rows(call, 0);
  expect_dense_rows(call, 1);
  expect_shape(call, 1, call.input(0).shape);
  expect_shape(call, 2, {call.input(0).dim(-1)});
  return {};
}

std::vector<Value> decompose_fused_add_rms_norm(GraphBuilder&, std::span<const Value> inputs,
                                                const Attributes& attributes) {
  const Value sum = add(inputs[0], inputs[1]);
  return {rms_norm(sum, inputs[2], attributes.get_float("eps")), sum};
}

// A square and its sum, the scale, the weight.
void cost_rms_norm(const CostQuery& query, CallCost& cost) {
  cost.float_ops = 4.0 * query.elements(0);
}

void cost_fused_add_rms_norm(const CostQuery& query, CallCost& cost) {
  cost.float_ops = 5.0 * query.elements(0);
}

}  // namespace

Value rms_norm(Value x, Value weight, double eps) {
  return x.builder().call("aten::rms_norm", {x, weight}, {{"eps", eps}})[0];
}

std::pair<Value, Value> fused_add_rms_norm(Value x, Value residual, Value weight, double eps) {
  const auto out = x.builder().call("sgl_kernel::fused_add_rmsnorm", {x, residual, weight}, {{"eps", eps}});
  return {out[0], out[1]};
}

void define_rms_norm(OpRegistry& registry) {
  registry.define("aten::rms_norm(Tensor x, Tensor weight, float eps) -> Tensor",
                  {.schema = {}, .fake = fake_rms_norm, .samples = rms_norm_samples, .cost = cost_rms_norm});
  registry.define(
      "sgl_kernel::fused_add_rmsnorm(Tensor(a!) x, Tensor(b!) residual, Tensor weight, float eps) -> ()",
      {.schema = {},
       .fake = fake_fused_add_rms_norm,
       .decomposition = decompose_fused_add_rms_norm,
       .samples = fused_add_rms_norm_samples,
       .cost = cost_fused_add_rms_norm});
}

}  // namespace musaic
