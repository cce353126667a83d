#include "ops/swiglu/swiglu.h"

#include "ops/cast/cast.h"
#include "ops/fake_checks.h"
#include "ops/op_samples.h"
#include "ops/view/view.h"

namespace musaic {
namespace {

std::vector<FakeOutput> fake_silu(const FakeCall& call) {
  const Meta& x = call.input(0);
  expect_float(call, 0);
  expect_dense_rows(call, 0);
  return {{Meta::contiguous(x.dtype, x.shape, x.device)}};
}

std::vector<FakeOutput> fake_mul(const FakeCall& call) {
  const Meta& x = call.input(0);
  expect_float(call, 0);
  expect_dense_rows(call, 0);
  expect_dtype(call, 1, x.dtype);
  expect_shape(call, 1, x.shape);
  expect_dense_rows(call, 1);
  return {{Meta::contiguous(x.dtype, x.shape, x.device)}};
}

std::vector<FakeOutput> fake_fused_swiglu(const FakeCall& call) {
  const Meta& x = call.input(0);
  expect_float(call, 0);
  expect_dense_rows(call, 0);
  const int64_t width = constant_dim(call, 0, -1);
  if (width % 2 != 0) fail_argument(call, 0, "an even last dimension");
  DimShape shape = x.shape;
  shape.back() = Dim(width / 2);
  return {{Meta::contiguous(x.dtype, std::move(shape), x.device)}};
}

// In float32 with one rounding at the end.
std::vector<Value> decompose_fused_swiglu(GraphBuilder&, std::span<const Value> inputs, const Attributes&) {
  const DType dtype = inputs[0].meta().dtype;
  const Value x = dtype == DType::kF32 ? inputs[0] : cast(inputs[0], DType::kF32);
  const int axis = x.meta().rank() - 1;
  const int64_t width = x.dim(axis).constant();
  const Value gate = slice(x, axis, 0, width / 2);
  const Value up = slice(x, axis, width / 2, width);
  const Value y = mul(silu(gate), up);
  return {dtype == DType::kF32 ? y : cast(y, dtype)};
}

constexpr double kSiluOps = 4.0;  // negate, exponential, add, divide

void cost_silu(const CostQuery& query, CallCost& cost) {
  cost.float_ops = kSiluOps * query.elements(0);
}

void cost_fused_swiglu(const CostQuery& query, CallCost& cost) {
  cost.float_ops = (kSiluOps + 1.0) * query.outputs[0].elements();
}

}  // namespace

Value silu(Value x) {
  return x.builder().call("aten::silu", {x})[0];
}

Value mul(Value x, Value y) {
  return x.builder().call("aten::mul", {x, y})[0];
}

Value fused_swiglu(Value x) {
  return x.builder().call("aten::_fused_swiglu_forward", {x})[0];
}

void define_swiglu(OpRegistry& registry) {
  registry.define("aten::silu(Tensor x) -> Tensor",
                  {.schema = {}, .fake = fake_silu, .samples = silu_samples, .cost = cost_silu});
  registry.define("aten::mul(Tensor x, Tensor y) -> Tensor",
                  {.schema = {}, .fake = fake_mul, .samples = mul_samples});
  registry.define("aten::_fused_swiglu_forward(Tensor x) -> Tensor", {.schema = {},
                                                                      .fake = fake_fused_swiglu,
                                                                      .decomposition = decompose_fused_swiglu,
                                                                      .samples = fused_swiglu_samples,
                                                                      .cost = cost_fused_swiglu});
}

}  // namespace musaic
