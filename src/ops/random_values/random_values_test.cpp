#include "ops/random_values/random_values.h"

#include <gtest/gtest.h>

#include "ops/testing/run_op.h"
#include "tensor/half.h"
#include "tensor/random_values.h"

namespace musaic::testing {
namespace {

float rounded(DType dtype, float value) {
  if (dtype == DType::kBF16) return bf16_to_float(float_to_bf16(value));
  return dtype == DType::kF8E4M3 ? f8e4m3_to_float(float_to_f8e4m3(value)) : value;
}

TEST(RandomValuesOp, HasTheHostsBitsInEveryTypeAndLeavesPadRowsAlone) {
  constexpr int kRows = 5, kLive = 4, kWidth = 33;
  for (DType dtype : {DType::kF32, DType::kBF16, DType::kF8E4M3}) {
    TestTensor x(dtype, {kRows, kWidth});
    x.poison_rows(0);
    const OpRun run = check_op(
        cpu_registry(), {.op = "musaic::random_values",
                         .inputs = {x},
                         .attributes = {{"seed", int64_t{1} << 62}, {"mean", 3.0}, {"deviation", 200.0}},
                         .live_rows = kLive});
    const RandomValues values = {.seed = uint64_t{1} << 62, .mean = 3.0f, .deviation = 200.0f};
    for (int row = 0; row < kLive; ++row) {
      const std::vector<float> got = run.inputs[0].row(row);
      for (int i = 0; i < kWidth; ++i)
        EXPECT_EQ(got[i], rounded(dtype, values.at(static_cast<uint64_t>(row * kWidth + i)))) << name(dtype);
    }
    EXPECT_TRUE(run.inputs[0].row_is_poisoned(kLive));
  }
}

}  // namespace
}  // namespace musaic::testing
