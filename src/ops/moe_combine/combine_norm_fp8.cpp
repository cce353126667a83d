#include "ops/moe_combine/combine_norm_fp8.h"

#include <fmt/format.h>

#include "ops/add/add.h"
#include "ops/fake_checks.h"
#include "ops/linear_fp8/fp8_checks.h"
#include "ops/moe_combine/moe_combine.h"
#include "ops/op_samples.h"
#include "ops/rms_norm/rms_norm.h"

namespace musaic {
namespace {

constexpr const char* kName = "musaic::moe_combine_norm_quant_fp8";

enum Input { kX, kTokenRow, kWeights, kAddend, kResidual, kNormWeight };

std::vector<FakeOutput> fake_combine_norm(const FakeCall& call) {
  expect_moe_combine(call);
  const Meta& x = call.input(kX);
  expect_rank(call, kResidual, 2);
  expect_dtype(call, kResidual, DType::kF32);
  expect_dense_rows(call, kResidual);
  expect_shape(call, kResidual, {call.input(kTokenRow).dim(0), x.dim(1)});
  expect_float(call, kNormWeight);
  expect_shape(call, kNormWeight, {x.dim(1)});
  expect_contiguous(call, kNormWeight);
  const Meta& residual = call.input(kResidual);
  return {{Meta::contiguous(DType::kF8E4M3, residual.shape, x.device)},
          {Meta::contiguous(DType::kF32, {residual.dim(0), fp8_blocks(x.dim(1))}, x.device)}};
}

std::vector<Value> decompose_call(GraphBuilder&, std::span<const Value> inputs,
                                  const Attributes& attributes) {
  return decompose_combine_norm({.x = inputs[kX],
                                 .token_row = inputs[kTokenRow],
                                 .weights = inputs[kWeights],
                                 .addend = inputs[kAddend],
                                 .residual = inputs[kResidual],
                                 .norm_weight = inputs[kNormWeight],
                                 .eps = attributes.get_float("eps")});
}

// Of what is combined two operations a value, then the sum, 4 of the norm, 4 of the quantization.
void cost_combine_norm(const CostQuery& query, CallCost& cost) {
  const double values = query.elements(kTokenRow) * static_cast<double>(query.dim(kX, 1));
  cost.read[kX] = values;
  cost.float_ops = 2.0 * values + 9.0 * query.elements(kResidual);
}

std::vector<OpSample> combine_norm_samples() {
  constexpr int64_t kTopK = 3, kRows = 30;
  std::vector<OpSample> samples;
  for (DType weight : {DType::kF32, DType::kF16, DType::kBF16}) {
    for (int64_t width : {150, 1280}) {
      for (int64_t tokens : {0, 1, 5}) {
        const bool has_addend = tokens != 1;
        const auto rows = [&](uint32_t seed, int64_t gap) {
          return sample_rows_of(HostTensor::random(DType::kF32, {tokens, width}, seed, 3, width + gap));
        };
        const auto token_row = HostTensor::random_ints(DType::kI32, {tokens, kTopK}, 2, 0, kRows - 1);
        samples.push_back(
            {.name = fmt::format("{} weight, {} tokens of {} with gaps{}", name(weight), tokens, width,
                                 has_addend ? ", an addend" : ""),
             .inputs = {sample_fixed(HostTensor::random(DType::kF32, {kRows, width}, 1)),
                        sample_rows_of(token_row),
                        sample_rows_of(HostTensor::random(DType::kF32, {tokens, kTopK}, 3)),
                        has_addend ? rows(4, 12) : SampleInput{}, rows(5, 8),
                        sample_fixed(HostTensor::random(weight, {width}, 6))},
             .attributes = {{"eps", 1e-5}},
             .outputs = {{DType::kF8E4M3, {tokens, width}}, {DType::kF32, {tokens, (width + 127) / 128}}}});
      }
    }
  }
  return samples;
}

}  // namespace

CombinedNormFp8 moe_combine_norm_quant_fp8(const CombineNormArguments& a) {
  const auto out = a.x.builder().call(
      kName, {a.x, a.token_row, a.weights, a.addend, a.residual, a.norm_weight}, {{"eps", a.eps}});
  return {{out[0], out[1]}, out[2]};
}

std::vector<Value> decompose_combine_norm(const CombineNormArguments& a) {
  const Value residual = add(a.residual, moe_combine(a.x, a.token_row, a.weights, a.addend));
  const Fp8Rows rows = quantize_fp8(rms_norm(residual, a.norm_weight, a.eps));
  return {rows.q, rows.scale, residual};
}

void define_combine_norm_fp8(OpRegistry& registry) {
  registry.define(
      "musaic::moe_combine_norm_quant_fp8(Tensor x, Tensor token_row, Tensor weights, Tensor? addend, "
      "Tensor(a!) residual, Tensor norm_weight, float eps) -> (Tensor q, Tensor scale)",
      {.schema = {},
       .fake = fake_combine_norm,
       .decomposition = decompose_call,
       .samples = combine_norm_samples,
       .cost = cost_combine_norm});
}

}  // namespace musaic
