#include "ops/norm_quantize/norm_quantize.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/status.h"
#include "ops/testing/run_op.h"

namespace musaic::testing {
namespace {

constexpr double kEps = 1e-5;

class NormQuantize : public ::testing::TestWithParam<CpuIsa> {
 protected:
  const OpRegistry registry_ = cpu_registry();
};

INSTANTIATE_TEST_SUITE_P(Isas, NormQuantize, ::testing::ValuesIn(available_isas()),
                         [](const auto& isa) { return std::string(name(isa.param)); });

std::vector<double> naive_norm(const std::vector<float>& x, const std::vector<float>& weight) {
  double squares = 0;
  for (float value : x) squares += static_cast<double>(value) * value;
  const double factor = 1 / std::sqrt(squares / static_cast<double>(x.size()) + kEps);
  std::vector<double> y;
  for (size_t k = 0; k < x.size(); ++k) y.push_back(x[k] * factor * weight[k]);
  return y;
}

// q is within rounding of the exact quotient, and the sums are those of q.
void expect_quantized(const std::vector<double>& y, const OpRun& run, int row) {
  const auto q = run.outputs[0].row(row), scale = run.outputs[1].row(row), sums = run.outputs[2].row(row);
  for (size_t block = 0; block < scale.size(); ++block) {
    double absmax = 0;
    int sum = 0;
    for (size_t k = block * 32; k < block * 32 + 32; ++k) {
      absmax = std::max(absmax, std::abs(y[k]));
      sum += static_cast<int>(q[k]);
    }
    EXPECT_NEAR(scale[block], absmax / 127, 1e-6 * absmax);
    EXPECT_EQ(sums[block], scale[block] * static_cast<float>(sum));
    for (size_t k = block * 32; k < block * 32 + 32; ++k)
      EXPECT_NEAR(q[k], y[k] * 127 / absmax, 0.5 + 1e-3) << "the float32 norm moves a tie by less than 1e-3";
  }
}

void expect_same(const OpRun& fused, const OpRun& apart) {
  for (size_t i = 0; i < 3; ++i) EXPECT_TRUE(fused.outputs[i].same_bits(apart.outputs[i])) << "output " << i;
}

TEST_P(NormQuantize, HasTheBitsOfNormThenQuantize) {
  for (DType weight : {DType::kF32, DType::kF16, DType::kBF16}) {
    for (int k : {32, 96, 576}) {
      const OpCase op_case{
          .op = "musaic::rms_norm_quantize_q8",
          .inputs = {TestTensor::random(DType::kF32, {5, k}, 1, 3), TestTensor::random(weight, {k}, 2)},
          .attributes = {{"eps", kEps}},
          .isa = GetParam()};
      const OpRun run = check_op(registry_, op_case);
      expect_same(run, run_decomposition(registry_, op_case));
      for (int row = 0; row < 5; ++row)
        expect_quantized(naive_norm(op_case.inputs[0].row(row), op_case.inputs[1].to_floats()), run, row);
    }
  }
}

TEST_P(NormQuantize, WithAddItLeavesTheSumInTheResidual) {
  for (int k : {32, 576}) {
    const OpCase op_case{
        .op = "musaic::add_rms_norm_quantize_q8",
        .inputs = {TestTensor::random(DType::kF32, {5, k}, 1, 3),
                   TestTensor::random(DType::kF32, {5, k}, 2, 3), TestTensor::random(DType::kF32, {k}, 3)},
        .attributes = {{"eps", kEps}},
        .isa = GetParam()};
    const OpRun run = check_op(registry_, op_case);
    const OpRun apart = run_decomposition(registry_, op_case);
    expect_same(run, apart);
    EXPECT_TRUE(run.inputs[1].same_bits(apart.inputs[1]));
    for (int row = 0; row < 5; ++row) {
      std::vector<float> sum = op_case.inputs[0].row(row);
      for (size_t i = 0; i < sum.size(); ++i) sum[i] += op_case.inputs[1].row(row)[i];
      EXPECT_EQ(run.inputs[1].row(row), sum);
      expect_quantized(naive_norm(sum, op_case.inputs[2].to_floats()), run, row);
    }
  }
}

TEST_P(NormQuantize, PadRowsAreNeitherReadNorWritten) {
  OpCase op_case{.op = "musaic::add_rms_norm_quantize_q8",
                 .inputs = {TestTensor::random(DType::kF32, {6, 64}, 1, 1, 80),
                            TestTensor::random(DType::kF32, {6, 64}, 2, 1, 70),
                            TestTensor::random(DType::kF32, {64}, 3)},
                 .attributes = {{"eps", kEps}},
                 .live_rows = 4,
                 .isa = GetParam()};
  for (size_t input : {0, 1}) op_case.inputs[input].poison_rows(4);
  const OpRun run = check_op(registry_, op_case);
  EXPECT_TRUE(run.inputs[1].row_is_poisoned(4) && run.inputs[1].row_is_poisoned(5));
}

TEST(NormQuantizeFake, RefusesRowsThatAreNoWholeBlocks) {
  EXPECT_THROW(
      run_op(cpu_registry(), {.op = "musaic::rms_norm_quantize_q8",
                              .inputs = {TestTensor(DType::kF32, {2, 48}), TestTensor(DType::kF32, {48})},
                              .attributes = {{"eps", kEps}}}),
      LoadError);
}

}  // namespace
}  // namespace musaic::testing
