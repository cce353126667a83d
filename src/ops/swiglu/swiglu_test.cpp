#include "ops/swiglu/swiglu.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/status.h"
#include "ops/testing/run_op.h"

namespace musaic::testing {
namespace {

constexpr double kTolerance = 4e-7;  // relative: exp, sum, product and quotient, each within an ulp

double naive_silu(double x) {
  return x / (1 + std::exp(-x));
}

class Swiglu : public ::testing::TestWithParam<CpuIsa> {
 protected:
  const OpRegistry registry_ = cpu_registry();
};

TEST_P(Swiglu, SiluIsAccurateOverTheWholeRange) {
  std::vector<float> values;
  for (float x = -86; x < 100; x += 0.00713f) values.push_back(x);
  values.resize(values.size() / 7 * 7);
  const auto columns = static_cast<int64_t>(values.size()) / 7;
  const OpRun run = check_op(registry_, {.op = "aten::silu",
                                         .inputs = {TestTensor::floats(values, {7, columns})},
                                         .attributes = {},
                                         .isa = GetParam()});
  const std::vector<float> y = run.outputs[0].to_floats();
  for (size_t i = 0; i < y.size(); ++i) {
    const double expected = naive_silu(values[i]);
    EXPECT_NEAR(y[i], expected, kTolerance * std::abs(expected)) << "x = " << values[i];
  }
}

TEST_P(Swiglu, SiluKeepsTheEndsOfTheRangeFinite) {
  const float infinity = std::numeric_limits<float>::infinity();
  const std::vector<float> values = {0, -1000, 1000, 3e38f, -3e38f, -88.5f, infinity};
  const OpRun run = check_op(registry_, {.op = "aten::silu",
                                         .inputs = {TestTensor::floats(values, {1, 7})},
                                         .attributes = {},
                                         .isa = GetParam()});
  const std::vector<float> y = run.outputs[0].to_floats();
  const std::vector<float> expected = {0, 0, 1000, 3e38f, 0, 0, infinity};
  for (size_t i = 0; i < y.size(); ++i) EXPECT_EQ(y[i], expected[i]) << values[i];
}

TEST_P(Swiglu, SiluOfNaNIsNaN) {
  const std::vector<float> values(20, std::nanf(""));
  const OpRun run = run_op(registry_, {.op = "aten::silu",
                                       .inputs = {TestTensor::floats(values, {2, 10})},
                                       .attributes = {},
                                       .isa = GetParam()});
  for (float y : run.outputs[0].to_floats()) EXPECT_TRUE(std::isnan(y));
}

TEST_P(Swiglu, MulMultipliesStridedRows) {
  const TestTensor x = TestTensor::random(DType::kF32, {3, 600}, 1, 1, 1200);
  const TestTensor y = TestTensor::random(DType::kF32, {3, 600}, 2, 1, 700);
  const OpRun run = check_op(
      registry_, {.op = "aten::mul", .inputs = {x, y}, .attributes = {}, .live_rows = 2, .isa = GetParam()});
  for (int row = 0; row < 2; ++row) {
    for (size_t k = 0; k < 600; ++k) EXPECT_EQ(run.outputs[0].row(row)[k], x.row(row)[k] * y.row(row)[k]);
  }
}

TEST_P(Swiglu, FusedEqualsTheNaiveLoopAndItsDecompositionBitForBit) {
  for (int d : {1, 13, 64, 1536}) {
    OpCase op_case{.op = "aten::_fused_swiglu_forward",
                   .inputs = {TestTensor::random(DType::kF32, {4, 2 * d}, 5, 12)},
                   .attributes = {},
                   .live_rows = 3,
                   .isa = GetParam()};
    op_case.inputs[0].poison_rows(3);
    const OpRun run = check_op(registry_, op_case);
    EXPECT_TRUE(run.outputs[0].same_bits(run_decomposition(registry_, op_case).outputs[0]));
    for (int row = 0; row < 3; ++row) {
      const std::vector<float> x = op_case.inputs[0].row(row), y = run.outputs[0].row(row);
      for (size_t k = 0; k < y.size(); ++k) {
        const double expected = naive_silu(x[k]) * x[k + y.size()];
        EXPECT_NEAR(y[k], expected, kTolerance * std::abs(expected));
      }
    }
  }
}

TEST_P(Swiglu, FusedIn16BitsRoundsOnce) {
  for (DType dtype : {DType::kF16, DType::kBF16}) {
    for (int d : {5, 64}) {
      const OpCase op_case{.op = "aten::_fused_swiglu_forward",
                           .inputs = {TestTensor::random(dtype, {3, 2 * d}, 5, 12)},
                           .isa = GetParam()};
      const OpRun run = check_op(registry_, op_case);
      EXPECT_TRUE(run.outputs[0].same_bits(run_decomposition(registry_, op_case).outputs[0]));
      const double half_step = dtype == DType::kF16 ? 0x1p-11 : 0x1p-8;
      for (int row = 0; row < 3; ++row) {
        const std::vector<float> x = op_case.inputs[0].row(row), y = run.outputs[0].row(row);
        for (size_t k = 0; k < y.size(); ++k) {
          const double expected = naive_silu(x[k]) * x[k + y.size()];
          EXPECT_NEAR(y[k], expected, half_step * std::abs(expected) * 1.001 + 0x1p-25)
              << "f16 has subnormals";
        }
      }
    }
  }
}

TEST_P(Swiglu, RefusesAnOddWidth) {
  EXPECT_THROW(run_op(registry_, {.op = "aten::_fused_swiglu_forward",
                                  .inputs = {TestTensor(DType::kF32, {2, 9})},
                                  .attributes = {}}),
               LoadError);
}

INSTANTIATE_TEST_SUITE_P(Isas, Swiglu, ::testing::ValuesIn(available_isas()),
                         [](const auto& isa) { return std::string(name(isa.param)); });

}  // namespace
}  // namespace musaic::testing
