#include "ops/norm_route_fp8/norm_route_fp8.h"

#include <fmt/format.h>

#include <algorithm>

#include "ops/add/add.h"
#include "ops/fake_checks.h"
#include "ops/linear/linear.h"
#include "ops/linear_fp8/linear_fp8.h"
#include "ops/moe_gate/moe_gate.h"
#include "ops/moe_route/moe_route.h"
#include "ops/norm_quant_fp8/norm_quant_fp8.h"
#include "ops/op_samples.h"
#include "ops/rms_norm/rms_norm.h"

namespace musaic {
namespace {

constexpr const char* kName = "musaic::add_norm_route_fp8";

enum Input { kX, kResidual, kNormWeight, kRouter };

std::vector<FakeOutput> fake_add_norm_route(const FakeCall& call) {
  std::vector<FakeOutput> outputs = fake_add_norm_quant_fp8(call);
  const Meta& x = call.input(kX);
  expect_rank(call, kRouter, 2);
  expect_dtype(call, kRouter, DType::kBF16);
  expect_dim(call, kRouter, 1, x.dim(1));
  expect_contiguous(call, kRouter);
  const int64_t experts = constant_dim(call, kRouter, 0);
  const Meta logits = Meta::contiguous(DType::kF32, {x.dim(0), experts}, x.device);
  const Meta* const gate_inputs[] = {&logits};
  const DimShape choices = expect_moe_gate({call.schema, gate_inputs, call.attributes});
  outputs.push_back({Meta::contiguous(DType::kF32, choices, x.device)});
  for (FakeOutput& group : route_outputs(call, choices, experts)) outputs.push_back(std::move(group));
  return outputs;
}

Attributes gate_attributes(const Attributes& attributes) {
  Attributes gate;
  for (const auto& [name, value] : attributes.entries()) {
    if (name != "eps") gate.set(name, value);
  }
  return gate;
}

std::vector<Value> decompose_add_norm_route(GraphBuilder& builder, std::span<const Value> inputs,
                                            const Attributes& attributes) {
  const Value residual = add(inputs[kX], inputs[kResidual]);
  const Value normed = rms_norm(residual, inputs[kNormWeight], attributes.get_float("eps"));
  const Fp8Rows rows = quantize_fp8(normed);
  const auto choice =
      builder.call("musaic::moe_gate_route", {linear(normed, inputs[kRouter])}, gate_attributes(attributes));
  std::vector<Value> results = {rows.q, rows.scale};
  results.insert(results.end(), choice.begin(), choice.end());
  results.push_back(residual);
  return results;
}

// Per value: the sum, 4 of the norm, 4 of the quantization; the router's products; the choice of each expert.
void cost_add_norm_route(const CostQuery& query, CallCost& cost) {
  const auto logits = static_cast<double>(query.dim(kX, 0)) * static_cast<double>(query.dim(kRouter, 0));
  cost.float_ops = 9.0 * query.elements(kX) + 2.0 * logits * static_cast<double>(query.dim(kX, 1)) +
                   (4.0 + static_cast<double>(query.attributes.get_int("top_k"))) * logits;
}

struct Sizes {
  int64_t tokens, width, experts, top_k, gap;
};

OpSample sample(const Sizes& sizes, DType weight, const std::string& layout) {
  const auto& [tokens, width, experts, top_k, gap] = sizes;
  const int64_t alignment = 4;
  int64_t rows = tokens * top_k;
  if (layout == "contiguous") rows += std::min(rows, experts) * (alignment - 1);
  if (layout == "masked") rows = tokens * experts;
  return {.name = fmt::format("{} tokens of {}, {} of {} experts, gap {}, {}", tokens, width, top_k, experts,
                              gap, layout),
          .inputs = {sample_rows_of(HostTensor::random(DType::kF32, {tokens, width}, 1, 3, width + gap)),
                     sample_rows_of(HostTensor::random(DType::kF32, {tokens, width}, 2, 3, width + gap)),
                     sample_fixed(HostTensor::random(weight, {width}, 3)),
                     sample_fixed(HostTensor::random(DType::kBF16, {experts, width}, 4))},
          .attributes = {{"eps", 1e-5},
                         {"top_k", top_k},
                         {"num_groups", int64_t{2}},
                         {"top_groups", int64_t{experts > 16 ? 2 : 1}},
                         {"renormalize", experts > 16},
                         {"scale", 1.5},
                         {"layout", layout},
                         {"alignment", alignment}},
          .outputs = {{DType::kF8E4M3, {tokens, width}},
                      {DType::kF32, {tokens, width / 128}},
                      {DType::kF32, {tokens, top_k}},
                      {DType::kI32, {rows}},
                      {DType::kI32, {tokens, top_k}},
                      {DType::kI32, {experts}},
                      {DType::kI32, {experts}}},
          .partial = true};
}

// Of one token, of few, and of more than one cluster takes.
std::vector<OpSample> add_norm_route_samples() {
  std::vector<OpSample> samples;
  const Sizes all_sizes[] = {{0, 256, 16, 2, 0},  {1, 2048, 64, 6, 0},  {1, 256, 8, 2, 3},
                             {7, 2048, 64, 6, 8}, {16, 1152, 32, 4, 0}, {19, 256, 8, 2, 4}};
  constexpr const char* kLayouts[] = {"compact", "contiguous", "masked"};
  constexpr DType kWeights[] = {DType::kBF16, DType::kF32, DType::kF16};
  size_t next = 0;
  for (const Sizes& sizes : all_sizes) {
    for (const char* layout : kLayouts) samples.push_back(sample(sizes, kWeights[next++ / 2 % 3], layout));
  }
  return samples;
}

}  // namespace

void define_norm_route_fp8(OpRegistry& registry) {
  registry.define(
      "musaic::add_norm_route_fp8(Tensor x, Tensor(a!) residual, Tensor norm_weight, Tensor router, float "
      "eps, "
      "int top_k, int num_groups=1, int top_groups=1, bool renormalize=False, float scale=1.0, str "
      "layout=\"compact\", int alignment=128) -> (Tensor q, Tensor scales, Tensor weights, Tensor row_token, "
      "Tensor token_row, Tensor start, Tensor count)",
      {.schema = {},
       .fake = fake_add_norm_route,
       .decomposition = decompose_add_norm_route,
       .samples = add_norm_route_samples,
       .cost = cost_add_norm_route});
}

}  // namespace musaic
