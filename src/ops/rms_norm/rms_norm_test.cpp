#include "ops/rms_norm/rms_norm.h"

#include <gtest/gtest.h>

#include <cmath>

#include "ops/testing/run_op.h"

namespace musaic::testing {
namespace {

constexpr double kEps = 1e-5;
constexpr double kTolerance = 2e-6;  // a few float32 roundings; the sum's error is divided by n

std::vector<double> naive_rms_norm(const std::vector<float>& x, const std::vector<float>& weight) {
  double squares = 0;
  for (float value : x) squares += static_cast<double>(value) * value;
  const double factor = 1 / std::sqrt(squares / static_cast<double>(x.size()) + kEps);
  std::vector<double> y;
  for (size_t k = 0; k < x.size(); ++k) y.push_back(x[k] * factor * weight[k]);
  return y;
}

void expect_near(const std::vector<float>& got, const std::vector<double>& expected) {
  ASSERT_EQ(got.size(), expected.size());
  for (size_t k = 0; k < got.size(); ++k)
    EXPECT_NEAR(got[k], expected[k], kTolerance * (1 + std::abs(expected[k]))) << "at " << k;
}

class RmsNorm : public ::testing::TestWithParam<CpuIsa> {
 protected:
  const OpRegistry registry_ = cpu_registry();
};

TEST_P(RmsNorm, EqualsTheNaiveLoop) {
  for (DType weight_dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    for (int n : {1, 7, 64, 576, 1030}) {
      OpCase op_case{.op = "aten::rms_norm",
                     .inputs = {TestTensor::random(DType::kF32, {6, n}, 1, 3, n + 5),
                                TestTensor::random(weight_dtype, {n}, 2)},
                     .attributes = {{"eps", kEps}},
                     .live_rows = 5,
                     .isa = GetParam()};
      op_case.inputs[0].poison_rows(5);
      const OpRun run = check_op(registry_, op_case);
      for (int row = 0; row < 5; ++row) {
        expect_near(run.outputs[0].row(row),
                    naive_rms_norm(op_case.inputs[0].row(row), op_case.inputs[1].to_floats()));
      }
    }
  }
}

TEST_P(RmsNorm, NormsEachHeadOfAMergedProjection) {
  const int heads = 3, head_dim = 32;
  const TestTensor x = TestTensor::random(DType::kF32, {4, heads, head_dim}, 1, 2, 5 * head_dim);
  const TestTensor weight = TestTensor::random(DType::kF32, {head_dim}, 2);
  const OpRun run = check_op(registry_, {.op = "aten::rms_norm",
                                         .inputs = {x, weight},
                                         .attributes = {{"eps", kEps}},
                                         .live_rows = 3,
                                         .isa = GetParam()});
  for (int row = 0; row < 3; ++row) {
    const std::vector<float> values = x.row(row), y = run.outputs[0].row(row);
    for (int head = 0; head < heads; ++head) {
      const auto at = head * head_dim;
      expect_near({y.begin() + at, y.begin() + at + head_dim},
                  naive_rms_norm({values.begin() + at, values.begin() + at + head_dim}, weight.to_floats()));
    }
  }
}

TEST_P(RmsNorm, FusedAddHasTheBitsOfItsDecomposition) {
  for (int n : {9, 576}) {
    OpCase op_case{
        .op = "sgl_kernel::fused_add_rmsnorm",
        .inputs = {TestTensor::random(DType::kF32, {5, n}, 1, 3),
                   TestTensor::random(DType::kF32, {5, n}, 2, 3), TestTensor::random(DType::kF32, {n}, 3)},
        .attributes = {{"eps", kEps}},
        .live_rows = 4,
        .isa = GetParam()};
    for (int input : {0, 1}) op_case.inputs[static_cast<size_t>(input)].poison_rows(4);
    const OpRun run = check_op(registry_, op_case);
    const OpRun unfused = run_decomposition(registry_, op_case);
    for (int input : {0, 1}) {
      EXPECT_TRUE(
          run.inputs[static_cast<size_t>(input)].same_bits(unfused.inputs[static_cast<size_t>(input)]));
      EXPECT_TRUE(run.inputs[static_cast<size_t>(input)].row_is_poisoned(4));
    }
    std::vector<float> sum = op_case.inputs[0].row(2);
    for (size_t k = 0; k < sum.size(); ++k) sum[k] += op_case.inputs[1].row(2)[k];
    EXPECT_EQ(run.inputs[1].row(2), sum);
    expect_near(run.inputs[0].row(2), naive_rms_norm(sum, op_case.inputs[2].to_floats()));
  }
}

// In 16 bits: one rounding of the sum, one of the norm of the sum as rounded.
TEST_P(RmsNorm, FusedAddOfEveryTypeHasTheBitsOfItsDecompositionWithAndWithoutAnotherAddend) {
  const int n = 40;
  for (DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    for (bool another : {false, true}) {
      OpCase op_case{.op = "sgl_kernel::fused_add_rmsnorm",
                     .inputs = {TestTensor::random(dtype, {3, n}, 1, 3),
                                TestTensor::random(dtype, {3, n}, 2, 3), TestTensor::random(dtype, {n}, 3)},
                     .attributes = {{"eps", kEps}},
                     .isa = GetParam()};
      if (another) op_case.inputs.push_back(TestTensor::random(dtype, {3, n}, 4, 3));
      const OpRun run = check_op(registry_, op_case);
      const OpRun unfused = run_decomposition(registry_, op_case);
      for (size_t input : {0, 1}) EXPECT_TRUE(run.inputs[input].same_bits(unfused.inputs[input]));
      for (int row = 0; row < 3; ++row) {
        std::vector<float> sum = op_case.inputs[0].row(row);
        for (int k = 0; k < n; ++k) {
          sum[k] += op_case.inputs[1].row(row)[k];
          if (another) sum[k] += op_case.inputs[3].row(row)[k];
        }
        const TestTensor rounded = TestTensor::floats(sum, {1, n}, dtype);
        EXPECT_EQ(run.inputs[1].row(row), rounded.row(0));
        const auto expected = naive_rms_norm(rounded.row(0), op_case.inputs[2].to_floats());
        const double step = dtype == DType::kF32 ? kTolerance : dtype == DType::kF16 ? 0x1p-11 : 0x1p-8;
        for (int k = 0; k < n; ++k) {
          EXPECT_NEAR(run.inputs[0].row(row)[k], expected[k], step * (1e-3 + std::abs(expected[k])))
              << "half a step of " << name(dtype);
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, RmsNorm, ::testing::ValuesIn(available_isas()),
                         [](const auto& isa) { return std::string(name(isa.param)); });

}  // namespace
}  // namespace musaic::testing
