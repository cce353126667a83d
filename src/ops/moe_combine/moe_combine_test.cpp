#include "ops/moe_combine/moe_combine.h"

#include <gtest/gtest.h>

#include "ops/testing/run_op.h"

namespace musaic::testing {
namespace {

TEST(MoeCombine, AddsTheWeightedRowsOfATokensChoices) {
  constexpr int kTokens = 4, kLive = 3, kTopK = 2, kRows = 9, kWidth = 70;
  const std::vector<int32_t> token_row = {8, 0, 3, 5, 1, 2, 1 << 30, -4};
  const TestTensor x = TestTensor::random(DType::kF32, {kRows, kWidth}, 1);
  TestTensor weights = TestTensor::random(DType::kF32, {kTokens, kTopK}, 2);
  weights.poison_rows(kLive);
  const OpRun run =
      check_op(cpu_registry(), {.op = "musaic::moe_combine",
                                .inputs = {x, TestTensor::ints(token_row, {kTokens, kTopK}), weights},
                                .attributes = {},
                                .live_rows = kLive});
  for (int token = 0; token < kLive; ++token) {
    const std::vector<float> w = weights.row(token), got = run.outputs[0].row(token);
    const std::vector<float> a = x.row(token_row[token * kTopK]), b = x.row(token_row[token * kTopK + 1]);
    for (int i = 0; i < kWidth; ++i)
      EXPECT_NEAR(got[i], double{w[0]} * a[i] + double{w[1]} * b[i], 1e-6) << i;
  }
}

}  // namespace
}  // namespace musaic::testing
