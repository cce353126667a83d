#include "ops/sample/sample.h"

#include "ops/fake_checks.h"
#include "ops/op_samples.h"
#include "ops/sample/sample_inputs.h"

namespace musaic {
namespace {

void expect_row_values(const FakeCall& call, int input, DType dtype, const Dim& rows) {
  expect_dtype(call, input, dtype);
  expect_shape(call, input, {rows});
  expect_contiguous(call, input);
}

std::vector<FakeOutput> fake_sample(const FakeCall& call) {
  using namespace sample_inputs;
  expect_rank(call, kLogits, 2);
  expect_dtype(call, kLogits, DType::kF32);
  expect_dense_rows(call, kLogits);
  const Meta& logits = call.input(kLogits);
  const Dim& rows = logits.dim(0);
  for (int input : {kTemperature, kTopP, kMinP, kFrequencyPenalty, kPresencePenalty, kRepetitionPenalty}) {
    expect_row_values(call, input, DType::kF32, rows);
  }
  for (int input : {kTopK, kDraw, kCountSlot, kBiasCount}) {
    expect_row_values(call, input, DType::kI32, rows);
  }
  expect_row_values(call, kSeed, DType::kI64, rows);
  expect_rank(call, kBiasIds, 2);
  expect_dtype(call, kBiasIds, DType::kI32);
  expect_dim(call, kBiasIds, 0, rows);
  expect_dense_rows(call, kBiasIds);
  expect_dtype(call, kBiasValues, DType::kF32);
  expect_shape(call, kBiasValues, call.input(kBiasIds).shape);
  expect_dense_rows(call, kBiasValues);
  expect_rank(call, kTokenCounts, 2);
  expect_dtype(call, kTokenCounts, DType::kI32);
  expect_dim(call, kTokenCounts, 1, logits.dim(1));
  expect_contiguous(call, kTokenCounts);
  return {{Meta::contiguous(DType::kI32, {rows}, logits.device)}};
}

// Greedy rows without penalties and biases, the usual step: the logits are read once and compared.
void cost_sample(const CostQuery& query, CallCost& cost) {
  using namespace sample_inputs;
  for (int input : {kBiasIds, kBiasValues, kTokenCounts}) cost.read[input] = 0.0;
  cost.written[kTokenCounts] = 0.0;
  cost.float_ops = query.elements(kLogits);
}

}  // namespace

SampleResult sample(const SampleArguments& a) {
  const auto out = a.logits.builder().call(
      "musaic::sample", {a.logits, a.temperature, a.top_k, a.top_p, a.min_p, a.seed, a.draw,
                         a.frequency_penalty, a.presence_penalty, a.repetition_penalty, a.count_slot,
                         a.bias_count, a.bias_ids, a.bias_values, a.token_counts});
  return {out[0], out[1]};
}

void define_sample(OpRegistry& registry) {
  registry.define(
      "musaic::sample(Tensor logits, Tensor temperature, Tensor top_k, Tensor top_p, Tensor min_p, "
      "Tensor seed, Tensor draw, Tensor frequency_penalty, Tensor presence_penalty, "
      "Tensor repetition_penalty, Tensor count_slot, Tensor bias_count, Tensor bias_ids, "
      "Tensor bias_values, Tensor(a!) token_counts) -> Tensor",
      {.schema = {}, .fake = fake_sample, .samples = sample_samples, .cost = cost_sample});
}

}  // namespace musaic
