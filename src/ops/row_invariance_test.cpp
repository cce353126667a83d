// Under the feature that --enable-deterministic-inference asks for, a row has the same bits alone and in any
// company, whichever kernels a device has for few and for many rows.
#include <gtest/gtest.h>

#include "device/row_invariant.h"
#include "ops/testing/run_with_features.h"
#include "ops/testing/test_device.h"

namespace musaic::testing {
namespace {

constexpr int kMost = 300;  // rows: above where any kernel begins to see many
constexpr int kIn = 512;
constexpr int kOut = 256;

// A linear of rows of one batch of kMost; the ops differ in their other arguments.
class RowInvariance : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (!has_kernel_here(registry_, GetParam())) GTEST_SKIP() << "the tests' device has no " << GetParam();
  }

  // Rows [first, first + count).
  static TestTensor part(const TestTensor& all, DType dtype, int first, int count) {
    std::vector<float> values;
    for (int row = first; row < first + count; ++row) {
      const std::vector<float> one = all.row(row);
      values.insert(values.end(), one.begin(), one.end());
    }
    const auto width = static_cast<int64_t>(values.size()) / count;
    return TestTensor::floats(values, {count, width}, dtype);
  }

  TestTensor run(int first, int count) const {
    const std::string op = GetParam();
    const TestTensor x = part(x_, DType::kF32, first, count);
    OpCase op_case{.op = op, .inputs = {x, weight_, {}}, .attributes = {}};
    if (op == "musaic::linear_fp8") {
      op_case.inputs = {part(q_, DType::kF8E4M3, first, count),
                        part(scale_, DType::kF32, first, count),
                        fp8_weight_,
                        fp8_blocks_,
                        {}};
    } else if (op == "musaic::linear_add_") {
      op_case.inputs = {part(sums_, DType::kF32, first, count), x, weight_, {}};
    } else if (op != "aten::linear") {
      op_case.inputs = {x, norm_, weight_, {}};
      op_case.attributes = {{"eps", 1e-5}};
    }
    OpRun run = check_op_with_features(registry_, op_case, {std::string(kRowInvariant)});
    return std::move(run.outputs.empty() ? run.inputs[0] : run.outputs[0]);
  }

  const OpRegistry registry_ = cpu_registry();
  const TestTensor x_ = TestTensor::random(DType::kF32, {kMost, kIn}, 1);
  const TestTensor sums_ = TestTensor::random(DType::kF32, {kMost, kOut}, 2);
  const TestTensor norm_ = TestTensor::random(DType::kBF16, {kIn}, 3);
  const TestTensor weight_ = TestTensor::random(DType::kBF16, {kOut, kIn}, 4);
  const TestTensor q_ = TestTensor::random(DType::kF8E4M3, {kMost, kIn}, 5, 400);
  const TestTensor scale_ = TestTensor::random(DType::kF32, {kMost, kIn / 128}, 6);
  const TestTensor fp8_weight_ = TestTensor::random(DType::kF8E4M3, {kOut, kIn}, 7, 400);
  const TestTensor fp8_blocks_ = TestTensor::random(DType::kF32, {kOut / 128, kIn / 128}, 8);
};

INSTANTIATE_TEST_SUITE_P(Ops, RowInvariance,
                         ::testing::Values("aten::linear", "musaic::linear_fp8", "musaic::rms_norm_linear",
                                           "musaic::rms_norm_linear_swiglu", "musaic::linear_add_"),
                         [](const auto& param) {
                           std::string name = param.param;
                           return name.substr(name.rfind(':') + 1);
                         });

TEST_P(RowInvariance, ARowHasTheBitsThatItHasAlone) {
  const TestTensor all = run(0, kMost);
  for (int count : {1, 16, 17, 33, 70, 130}) {
    const int first = kMost - count - 5;
    const TestTensor some = run(first, count);
    for (int row = 0; row < count; ++row)
      ASSERT_EQ(some.row(row), all.row(first + row)) << "row " << row << " of " << count;
  }
}

}  // namespace
}  // namespace musaic::testing
