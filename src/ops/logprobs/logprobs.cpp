#include "ops/logprobs/logprobs.h"

#include "base/status.h"
#include "ops/fake_checks.h"
#include "ops/op_samples.h"

namespace musaic {
namespace {

enum LogprobInput { kLogits, kTarget, kTopN, kProbeCount, kProbeIds };

void expect_row_indices(const FakeCall& call, int input, const Dim& rows) {
  expect_dtype(call, input, DType::kI32);
  expect_shape(call, input, {rows});
  expect_contiguous(call, input);
}

std::vector<FakeOutput> fake_logprobs(const FakeCall& call) {
  expect_rank(call, kLogits, 2);
  expect_dtype(call, kLogits, DType::kF32);
  expect_dense_rows(call, kLogits);
  const Meta& logits = call.input(kLogits);
  const Dim& rows = logits.dim(0);
  for (int input : {kTarget, kTopN, kProbeCount}) expect_row_indices(call, input, rows);
  expect_rank(call, kProbeIds, 2);
  expect_dtype(call, kProbeIds, DType::kI32);
  expect_dim(call, kProbeIds, 0, rows);
  expect_dense_rows(call, kProbeIds);
  const int64_t max_top_n = call.attributes.get_int("max_top_n");
  if (max_top_n < 0) fail_load("{}: max_top_n is {}, expected >= 0", call.schema.name, max_top_n);

  const auto output = [&](DType dtype, DimShape shape) {
    return FakeOutput{Meta::contiguous(dtype, std::move(shape), logits.device)};
  };
  return {output(DType::kF32, {rows}), output(DType::kI32, {rows, max_top_n}),
          output(DType::kF32, {rows, max_top_n}), output(DType::kF32, {rows, call.input(kProbeIds).dim(1)})};
}

// The largest logit, the sum of exponentials, the difference.
void cost_logprobs(const CostQuery& query, CallCost& cost) {
  cost.float_ops = 4.0 * query.elements(kLogits);
}

}  // namespace

LogprobResult logprobs(const LogprobArguments& a) {
  const auto out =
      a.logits.builder().call("musaic::logprobs", {a.logits, a.target, a.top_n, a.probe_count, a.probe_ids},
                              {{"max_top_n", int64_t{a.max_top_n}}});
  return {out[0], out[1], out[2], out[3]};
}

void define_logprobs(OpRegistry& registry) {
  registry.define(
      "musaic::logprobs(Tensor logits, Tensor target, Tensor top_n, Tensor probe_count, Tensor probe_ids, "
      "int max_top_n) -> (Tensor, Tensor, Tensor, Tensor)",
      {.schema = {}, .fake = fake_logprobs, .samples = logprobs_samples, .cost = cost_logprobs});
}

}  // namespace musaic
