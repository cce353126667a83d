#include "ops/rms_norm/rms_norm.h"

#include "ops/add/add.h"
#include "ops/cast/cast.h"
#include "ops/fake_checks.h"
#include "ops/op_samples.h"

namespace musaic {
namespace {

std::vector<FakeOutput> fake_rms_norm(const FakeCall& call) {
  const Meta& x = call.input(0);
  expect_float(call, 0);
  expect_dense_rows(call, 0);
  expect_float(call, 1);
  expect_shape(call, 1, {x.dim(-1)});
  expect_contiguous(call, 1);
  return {{Meta::contiguous(x.dtype, x.shape, x.device)}};
}

std::vector<FakeOutput> fake_fused_add_rms_norm(const FakeCall& call) {
  const Meta& x = call.input(0);
  expect_float(call, 0);
  expect_dense_rows(call, 0);
  for (int addend : {1, 3}) {
    if (!call.has(addend)) continue;
    expect_dtype(call, addend, x.dtype);
    expect_shape(call, addend, x.shape);
    expect_dense_rows(call, addend);
  }
  expect_float(call, 2);
  expect_shape(call, 2, {x.dim(-1)});
  expect_contiguous(call, 2);
  return {};
}

// In float32 throughout: the sum is rounded once to the residual's type, the norm once to that of x.
std::vector<Value> decompose_fused_add_rms_norm(GraphBuilder&, std::span<const Value> inputs,
                                                const Attributes& attributes) {
  const DType dtype = inputs[0].meta().dtype;
  const auto widen = [&](Value x) { return dtype == DType::kF32 ? x : cast(x, DType::kF32); };
  const auto narrow = [&](Value x) { return dtype == DType::kF32 ? x : cast(x, dtype); };
  Value sum = add(widen(inputs[0]), widen(inputs[1]));
  if (inputs.size() > 3 && inputs[3].defined()) sum = add(sum, widen(inputs[3]));
  const Value residual = narrow(sum);
  const Value normed = rms_norm(widen(residual), inputs[2], attributes.get_float("eps"));
  return {narrow(normed), residual};
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

std::pair<Value, Value> fused_add_rms_norm(Value x, Value residual, Value weight, double eps,
                                           Value post_residual_addition) {
  const auto out = x.builder().call("sgl_kernel::fused_add_rmsnorm",
                                    {x, residual, weight, post_residual_addition}, {{"eps", eps}});
  return {out[0], out[1]};
}

void define_rms_norm(OpRegistry& registry) {
  registry.define("aten::rms_norm(Tensor x, Tensor weight, float eps) -> Tensor",
                  {.schema = {}, .fake = fake_rms_norm, .samples = rms_norm_samples, .cost = cost_rms_norm});
  registry.define(
      "sgl_kernel::fused_add_rmsnorm(Tensor(a!) x, Tensor(b!) residual, Tensor weight, float eps, "
      "Tensor? post_residual_addition=None) -> ()",
      {.schema = {},
       .fake = fake_fused_add_rms_norm,
       .decomposition = decompose_fused_add_rms_norm,
       .samples = fused_add_rms_norm_samples,
       .cost = cost_fused_add_rms_norm});
}

}  // namespace musaic
