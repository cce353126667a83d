#include "ops/experts_fp8/experts_fp8.h"

#include <algorithm>

#include "ops/empty/empty.h"
#include "ops/experts_fp8/experts_fp8_parts.h"
#include "ops/experts_fp8/experts_fp8_samples.h"
#include "ops/grouped_linear/grouped_checks.h"
#include "ops/grouped_linear/grouped_linear.h"
#include "ops/grouped_swiglu/grouped_swiglu.h"
#include "ops/linear_fp8/fp8_checks.h"
#include "ops/per_token_group_quant/per_token_group_quant.h"

namespace musaic {
namespace {

constexpr const char* kGateUp = "musaic::experts_gate_up_fp8";
constexpr const char* kDown = "musaic::experts_down_fp8";
constexpr const char* kBoth = "musaic::experts_fp8";

namespace gate_up {
enum Input { kQ, kScale, kRowToken, kStart, kCount, kWeight, kWeightScale, kShared, kSharedScale };
}
namespace down = experts_down;
// Those of gate and up, then:
namespace both {
enum Input { kDownWeight = gate_up::kSharedScale + 1, kDownScale, kSharedDown, kSharedDownScale };
}

// FP8 weights of `rank` dimensions, the last but one of `parts` equal parts with blocks of their own.
void expect_fp8_weight(const FakeCall& call, int weight, int rank, const Dim& k, int64_t parts) {
  expect_rank(call, weight, rank);
  expect_dtype(call, weight, DType::kF8E4M3);
  expect_contiguous(call, weight);
  expect_dim(call, weight, rank - 1, k);
  const int64_t n = constant_dim(call, weight, -2);
  DimShape blocks = call.input(weight).shape;
  blocks[static_cast<size_t>(rank) - 2] = fp8_blocks(n / parts) * parts;
  blocks[static_cast<size_t>(rank) - 1] = fp8_blocks(k);
  expect_dtype(call, weight + 1, DType::kF32);
  expect_shape(call, weight + 1, blocks);
  expect_contiguous(call, weight + 1);
}

// Columns of a SwiGLU.
int64_t half_of(const FakeCall& call, int weight) {
  const int64_t n = constant_dim(call, weight, -2);
  if (n % (2 * Fp8Rows::kGroup) != 0) fail_argument(call, weight, "two halves of whole groups of 128 rows");
  return n / 2;
}

void add_fp8_rows(std::vector<FakeOutput>& outputs, const Dim& rows, int64_t width, const Device& device) {
  outputs.push_back({Meta::contiguous(DType::kF8E4M3, {rows, width}, device)});
  outputs.push_back({Meta::contiguous(DType::kF32, {rows, fp8_blocks(width)}, device)});
}

std::vector<FakeOutput> fake_gate_up(const FakeCall& call) {
  using namespace gate_up;
  expect_fp8_rows(call, kQ);
  expect_groups(call, kRowToken, kStart);
  const Meta& q = call.input(kQ);
  expect_fp8_weight(call, kWeight, 3, q.dim(1), 2);
  expect_dim(call, kWeight, 0, call.input(kCount).dim(0));
  expect_fp8_weight(call, kShared, 2, q.dim(1), 2);
  std::vector<FakeOutput> outputs;
  add_fp8_rows(outputs, call.input(kRowToken).dim(0), half_of(call, kWeight), q.device);
  add_fp8_rows(outputs, q.dim(0), half_of(call, kShared), q.device);
  return outputs;
}

std::vector<FakeOutput> fake_down(const FakeCall& call) {
  using namespace down;
  expect_fp8_rows(call, kQ);
  expect_expert_rows(call, kStart);
  expect_fp8_weight(call, kWeight, 3, call.input(kQ).dim(1), 1);
  expect_dim(call, kWeight, 0, call.input(kCount).dim(0));
  expect_fp8_rows(call, kSharedQ);
  expect_fp8_weight(call, kShared, 2, call.input(kSharedQ).dim(1), 1);
  const Device& device = call.input(kQ).device;
  return {{Meta::contiguous(DType::kF32, {call.input(kQ).dim(0), call.input(kWeight).dim(1)}, device)},
          {Meta::contiguous(DType::kF32, {call.input(kSharedQ).dim(0), call.input(kShared).dim(0)}, device)}};
}

}  // namespace

std::vector<FakeOutput> fake_experts_fp8(const FakeCall& call) {
  using namespace both;
  fake_gate_up(call);
  expect_fp8_weight(call, kDownWeight, 3, half_of(call, gate_up::kWeight), 1);
  expect_dim(call, kDownWeight, 0, call.input(gate_up::kCount).dim(0));
  expect_fp8_weight(call, kSharedDown, 2, half_of(call, gate_up::kShared), 1);
  const Dim& n = call.input(kDownWeight).dim(1);
  expect_dim(call, kSharedDown, 0, n);
  const Meta& q = call.input(gate_up::kQ);
  return {{Meta::contiguous(DType::kF32, {call.input(gate_up::kRowToken).dim(0), n}, q.device)},
          {Meta::contiguous(DType::kF32, {q.dim(0), n}, q.device)}};
}

namespace {

std::vector<Value> decompose_gate_up(GraphBuilder&, std::span<const Value> inputs, const Attributes&) {
  using namespace gate_up;
  const Fp8Rows x = {inputs[kQ], inputs[kScale]};
  const ExpertRows groups = {inputs[kRowToken], {}, inputs[kStart], inputs[kCount]};
  const Value both =
      grouped_linear_fp8(x, groups, /*by_token=*/true, inputs[kWeight], inputs[kWeightScale], 2);
  const Fp8Rows routed = grouped_swiglu_quant_fp8(both, groups);
  const Value shared = linear_fp8(x, inputs[kShared], inputs[kSharedScale]);
  const int64_t width = shared.dim(1).constant() / 2;
  const auto [q, scale] =
      per_token_group_quant({.input = shared,
                             .output_q = empty_rows_of(shared, width, DType::kF8E4M3),
                             .output_s = empty_rows_of(shared, width / Fp8Rows::kGroup, DType::kF32),
                             .fuse_silu_and_mul = true});
  return {routed.q, routed.scale, q, scale};
}

std::vector<Value> decompose_down(GraphBuilder&, std::span<const Value> inputs, const Attributes&) {
  using namespace down;
  const ExpertRows groups = {{}, {}, inputs[kStart], inputs[kCount]};
  return {grouped_linear_fp8({inputs[kQ], inputs[kScale]}, groups, /*by_token=*/false, inputs[kWeight],
                             inputs[kWeightScale]),
          linear_fp8({inputs[kSharedQ], inputs[kSharedRowScale]}, inputs[kShared], inputs[kSharedScale])};
}

}  // namespace

std::vector<Value> decompose_experts_fp8(GraphBuilder& builder, std::span<const Value> inputs,
                                         const Attributes& attributes) {
  using namespace both;
  const std::vector<Value> rows = decompose_gate_up(builder, inputs, attributes);
  return decompose_down(
      builder,
      std::vector{rows[0], rows[1], inputs[gate_up::kStart], inputs[gate_up::kCount], inputs[kDownWeight],
                  inputs[kDownScale], rows[2], rows[3], inputs[kSharedDown], inputs[kSharedDownScale]},
      attributes);
}

namespace {

// Every expert that a row may have chosen is read once.
void cost_experts(const CostQuery& query, int weight, int shared, double rows, double tokens,
                  CallCost& cost) {
  const double share = std::min(1.0, rows / static_cast<double>(query.dim(weight, 0)));
  cost.read[weight] = query.elements(weight) * share;
  cost.read[weight + 1] = query.elements(weight + 1) * share;
  cost.float_ops += 2.0 * (rows * query.elements(weight) / static_cast<double>(query.dim(weight, 0)) +
                           tokens * query.elements(shared));
}

void cost_gate_up(const CostQuery& query, CallCost& cost) {
  cost.float_ops = 0.0;
  cost_experts(query, gate_up::kWeight, gate_up::kShared,
               static_cast<double>(query.dim(gate_up::kRowToken, 0)),
               static_cast<double>(query.dim(gate_up::kQ, 0)), cost);
}

void cost_down(const CostQuery& query, CallCost& cost) {
  cost.float_ops = 0.0;
  cost_experts(query, down::kWeight, down::kShared, static_cast<double>(query.dim(down::kQ, 0)),
               static_cast<double>(query.dim(down::kSharedQ, 0)), cost);
}

}  // namespace

void cost_experts_fp8(const CostQuery& query, CallCost& cost) {
  cost_gate_up(query, cost);
  cost_experts(query, both::kDownWeight, both::kSharedDown,
               static_cast<double>(query.dim(gate_up::kRowToken, 0)),
               static_cast<double>(query.dim(gate_up::kQ, 0)), cost);
}

ExpertRowsFp8 experts_gate_up_fp8(const Fp8Rows& x, const ExpertRows& groups, const ExpertWeights& weights) {
  const auto out =
      x.q.builder().call(kGateUp, {x.q, x.scale, groups.row_token, groups.start, groups.count, weights.routed,
                                   weights.routed_scale, weights.shared, weights.shared_scale});
  return {{out[0], out[1]}, {out[2], out[3]}};
}

ExpertResults experts_down_fp8(const ExpertRowsFp8& x, const ExpertRows& groups,
                               const ExpertWeights& weights) {
  const auto out = x.routed.q.builder().call(
      kDown, {x.routed.q, x.routed.scale, groups.start, groups.count, weights.routed, weights.routed_scale,
              x.shared.q, x.shared.scale, weights.shared, weights.shared_scale});
  return {out[0], out[1]};
}

ExpertResults experts_fp8(const Fp8Rows& x, const ExpertRows& groups, const ExpertWeights& gate_up,
                          const ExpertWeights& down) {
  const auto out =
      x.q.builder().call(kBoth, {x.q, x.scale, groups.row_token, groups.start, groups.count, gate_up.routed,
                                 gate_up.routed_scale, gate_up.shared, gate_up.shared_scale, down.routed,
                                 down.routed_scale, down.shared, down.shared_scale});
  return {out[0], out[1]};
}

void define_experts_fp8(OpRegistry& registry) {
  registry.define(
      "musaic::experts_gate_up_fp8(Tensor q, Tensor scale, Tensor row_token, Tensor start, Tensor count, "
      "Tensor weight, Tensor weight_scale, Tensor shared_weight, Tensor shared_weight_scale) -> (Tensor, "
      "Tensor, Tensor, Tensor)",
      {.schema = {},
       .fake = fake_gate_up,
       .decomposition = decompose_gate_up,
       .samples = experts_gate_up_fp8_samples,
       .cost = cost_gate_up});
  registry.define(
      "musaic::experts_down_fp8(Tensor q, Tensor scale, Tensor start, Tensor count, Tensor weight, Tensor "
      "weight_scale, Tensor shared_q, Tensor shared_scale, Tensor shared_weight, Tensor "
      "shared_weight_scale) -> (Tensor, Tensor)",
      {.schema = {},
       .fake = fake_down,
       .decomposition = decompose_down,
       .samples = experts_down_fp8_samples,
       .cost = cost_down});
  registry.define(
      "musaic::experts_fp8(Tensor q, Tensor scale, Tensor row_token, Tensor start, Tensor count, Tensor "
      "gate_up, Tensor gate_up_scale, Tensor shared_gate_up, Tensor shared_gate_up_scale, Tensor down, "
      "Tensor down_scale, Tensor shared_down, Tensor shared_down_scale) -> (Tensor, Tensor)",
      {.schema = {},
       .fake = fake_experts_fp8,
       .decomposition = decompose_experts_fp8,
       .samples = experts_fp8_samples,
       .cost = cost_experts_fp8});
}

}  // namespace musaic
