#include "ops/quantize/quantize.h"

#include <gmock/gmock.h>

#include <cmath>

#include "base/status.h"
#include "ops/testing/run_op.h"

namespace musaic::testing {
namespace {

class QuantizeQ8 : public ::testing::TestWithParam<CpuIsa> {
 protected:
  OpCase op_case(const TestTensor& x) const {
    return {.op = "musaic::quantize_q8", .inputs = {x}, .isa = GetParam()};
  }
  OpRegistry registry_ = cpu_registry();
};

INSTANTIATE_TEST_SUITE_P(Isas, QuantizeQ8, ::testing::ValuesIn(available_isas()));

TEST_P(QuantizeQ8, FollowsItsContractExactly) {
  for (int64_t rows : {1, 3, 17}) {
    for (int64_t k : {32, 64, 576}) {
      const TestTensor x = TestTensor::random(DType::kF32, {rows, k}, 1, 3, k + 5);
      const OpRun run = check_op(registry_, op_case(x));
      for (int64_t r = 0; r < rows; ++r) {
        const std::vector<float> values = x.row(r), q = run.outputs[0].row(r);
        for (int64_t block = 0; block < k / 32; ++block) {
          float absmax = 0;
          for (int i = 0; i < 32; ++i) absmax = std::max(absmax, std::abs(values[block * 32 + i]));
          int sum = 0;
          for (int64_t i = block * 32; i < block * 32 + 32; ++i) {
            const int expected = static_cast<int>(std::nearbyint(values[i] * (127 / absmax)));
            EXPECT_EQ(q[i], expected);
            sum += expected;
          }
          EXPECT_EQ(run.outputs[1].row(r)[block], absmax / 127);
          EXPECT_EQ(run.outputs[2].row(r)[block], absmax / 127 * static_cast<float>(sum));
        }
      }
    }
  }
}

TEST_P(QuantizeQ8, ABlockOfZerosIsZero) {
  const OpRun run = check_op(registry_, op_case(TestTensor::floats(std::vector<float>(64, 0.0f), {1, 64})));
  for (const TestTensor& output : run.outputs) EXPECT_THAT(output.row(0), ::testing::Each(0.0f));
}

TEST_P(QuantizeQ8, PadRowsAreNeitherReadNorWritten) {
  OpCase padded = op_case(TestTensor::random(DType::kF32, {6, 64}, 2));
  padded.inputs[0].poison_rows(4);
  padded.live_rows = 4;
  check_op(registry_, padded);
}

TEST(QuantizeQ8Fake, RefusesRowsThatAreNoWholeBlocks) {
  const OpRegistry registry = cpu_registry();
  EXPECT_THROW(run_op(registry,
                      {.op = "musaic::quantize_q8", .inputs = {TestTensor::random(DType::kF32, {1, 48}, 1)}}),
               LoadError);
}

}  // namespace
}  // namespace musaic::testing
