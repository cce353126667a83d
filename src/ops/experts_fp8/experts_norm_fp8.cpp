#include "ops/experts_fp8/experts_norm_fp8.h"

#include "ops/experts_fp8/experts_fp8_parts.h"
#include "ops/experts_fp8/experts_fp8_samples.h"
#include "ops/fake_checks.h"
#include "ops/linear_fp8/fp8_checks.h"

namespace musaic {
namespace {

constexpr const char* kName = "musaic::experts_norm_quant_fp8";

// Behind those of experts_fp8.
enum Input { kTokenRow = kExpertsFp8Inputs, kWeights, kResidual, kNormWeight };

std::vector<FakeOutput> fake_experts_norm(const FakeCall& call) {
  const Dim n = fake_experts_fp8(call)[0].meta.dim(1);
  for (int input : {kTokenRow, kWeights}) {
    expect_rank(call, input, 2);
    expect_dim(call, input, 0, call.input(0).dim(0));
    expect_contiguous(call, input);
  }
  expect_dtype(call, kTokenRow, DType::kI32);
  expect_dtype(call, kWeights, DType::kF32);
  expect_shape(call, kWeights, call.input(kTokenRow).shape);
  expect_rank(call, kResidual, 2);
  expect_dtype(call, kResidual, DType::kF32);
  expect_dense_rows(call, kResidual);
  expect_shape(call, kResidual, {call.input(0).dim(0), n});
  expect_float(call, kNormWeight);
  expect_shape(call, kNormWeight, {n});
  expect_contiguous(call, kNormWeight);
  const Meta& residual = call.input(kResidual);
  return {{Meta::contiguous(DType::kF8E4M3, residual.shape, residual.device)},
          {Meta::contiguous(DType::kF32, {residual.dim(0), fp8_blocks(n)}, residual.device)}};
}

std::vector<Value> decompose_experts_norm(GraphBuilder& builder, std::span<const Value> inputs,
                                          const Attributes& attributes) {
  const std::vector<Value> results =
      decompose_experts_fp8(builder, inputs.first(kExpertsFp8Inputs), attributes);
  return decompose_combine_norm({.x = results[0],
                                 .token_row = inputs[kTokenRow],
                                 .weights = inputs[kWeights],
                                 .addend = results[1],
                                 .residual = inputs[kResidual],
                                 .norm_weight = inputs[kNormWeight],
                                 .eps = attributes.get_float("eps")});
}

// The sum's operations are two a row and value, and 9 a value of the residual.
void cost_experts_norm(const CostQuery& query, CallCost& cost) {
  cost_experts_fp8(query, cost);
  cost.float_ops += 2.0 * query.elements(kTokenRow) * static_cast<double>(query.dim(kResidual, 1)) +
                    9.0 * query.elements(kResidual);
}

}  // namespace

CombinedNormFp8 experts_norm_quant_fp8(const Fp8Rows& x, const ExpertRows& groups,
                                       const ExpertWeights& gate_up, const ExpertWeights& down,
                                       const CombineNormArguments& sum) {
  const auto out = x.q.builder().call(
      kName,
      {x.q, x.scale, groups.row_token, groups.start, groups.count, gate_up.routed, gate_up.routed_scale,
       gate_up.shared, gate_up.shared_scale, down.routed, down.routed_scale, down.shared, down.shared_scale,
       sum.token_row, sum.weights, sum.residual, sum.norm_weight},
      {{"eps", sum.eps}});
  return {{out[0], out[1]}, out[2]};
}

void define_experts_norm_fp8(OpRegistry& registry) {
  registry.define(
      "musaic::experts_norm_quant_fp8(Tensor q, Tensor scale, Tensor row_token, Tensor start, Tensor count, "
      "Tensor gate_up, Tensor gate_up_scale, Tensor shared_gate_up, Tensor shared_gate_up_scale, Tensor "
      "down, Tensor down_scale, Tensor shared_down, Tensor shared_down_scale, Tensor token_row, Tensor "
      "weights, Tensor(a!) residual, Tensor norm_weight, float eps) -> (Tensor q, Tensor scale)",
      {.schema = {},
       .fake = fake_experts_norm,
       .decomposition = decompose_experts_norm,
       .samples = experts_norm_fp8_samples,
       .cost = cost_experts_norm});
}

}  // namespace musaic
