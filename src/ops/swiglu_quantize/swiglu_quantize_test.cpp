#include "ops/swiglu_quantize/swiglu_quantize.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/status.h"
#include "ops/testing/run_op.h"

namespace musaic::testing {
namespace {

class SwigluQuantize : public ::testing::TestWithParam<CpuIsa> {
 protected:
  OpCase op_case(const TestTensor& x) const {
    return {.op = "musaic::swiglu_quantize_q8", .inputs = {x}, .isa = GetParam()};
  }
  const OpRegistry registry_ = cpu_registry();
};

INSTANTIATE_TEST_SUITE_P(Isas, SwigluQuantize, ::testing::ValuesIn(available_isas()),
                         [](const auto& isa) { return std::string(name(isa.param)); });

TEST_P(SwigluQuantize, HasTheBitsOfSwigluThenQuantize) {
  for (int d : {32, 96, 1536}) {
    const OpCase fused = op_case(TestTensor::random(DType::kF32, {4, 2 * d}, 1, 5));
    const OpRun run = check_op(registry_, fused);
    const OpRun apart = run_decomposition(registry_, fused);
    for (size_t i = 0; i < 3; ++i) EXPECT_TRUE(run.outputs[i].same_bits(apart.outputs[i])) << "output " << i;
  }
}

TEST_P(SwigluQuantize, IsWithinRoundingOfTheNaiveLoop) {
  const TestTensor x = TestTensor::random(DType::kF32, {3, 128}, 2, 5);
  const OpRun run = check_op(registry_, op_case(x));
  for (int row = 0; row < 3; ++row) {
    const auto in = x.row(row), q = run.outputs[0].row(row), scale = run.outputs[1].row(row);
    for (size_t block = 0; block < 2; ++block) {
      std::vector<double> y;
      double absmax = 0;
      for (size_t k = block * 32; k < block * 32 + 32; ++k) {
        y.push_back(in[k] / (1 + std::exp(-static_cast<double>(in[k]))) * in[k + 64]);
        absmax = std::max(absmax, std::abs(y.back()));
      }
      EXPECT_NEAR(scale[block], absmax / 127, 1e-6 * absmax);
      for (size_t k = 0; k < 32; ++k)
        EXPECT_NEAR(q[block * 32 + k], y[k] * 127 / absmax, 0.5 + 1e-3)
            << "float32 moves a tie by less than 1e-3";
    }
  }
}

TEST_P(SwigluQuantize, PadRowsAreNeitherReadNorWritten) {
  OpCase padded = op_case(TestTensor::random(DType::kF32, {6, 128}, 2, 1, 140));
  padded.inputs[0].poison_rows(4);
  padded.live_rows = 4;
  check_op(registry_, padded);
}

TEST(SwigluQuantizeFake, RefusesHalvesThatAreNoWholeBlocks) {
  EXPECT_THROW(run_op(cpu_registry(),
                      {.op = "musaic::swiglu_quantize_q8", .inputs = {TestTensor(DType::kF32, {2, 96})}}),
               LoadError);
}

}  // namespace
}  // namespace musaic::testing
