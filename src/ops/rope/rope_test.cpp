#include "ops/rope/rope.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/status.h"
#include "ops/testing/run_op.h"

namespace musaic::testing {
namespace {

constexpr double kTolerance = 2e-7;  // two products and a sum of values below 1, float32

class Rope : public ::testing::TestWithParam<CpuIsa> {
 protected:
  const OpRegistry registry_ = cpu_registry();
};

TEST_P(Rope, CosSinAreExactAtFarPositions) {
  const std::vector<int32_t> positions = {0, 1, 7, 4095, 131071, 1000000, 5};
  const std::vector<float> inv_freq = {1.0f, 0.3f, 0.01f, 1e-5f};
  TestTensor position_rows = TestTensor::ints(positions);
  position_rows.poison_rows(6);
  const OpRun run = check_op(registry_, {.op = "musaic::rope_cos_sin",
                                         .inputs = {position_rows, TestTensor::floats(inv_freq, {4})},
                                         .attributes = {{"attention_factor", 1.5}},
                                         .live_rows = 6,
                                         .isa = GetParam()});
  for (size_t row = 0; row < 6; ++row) {
    const std::vector<float> got = run.outputs[0].row(static_cast<int64_t>(row));
    for (size_t k = 0; k < 4; ++k) {
      const long double angle = static_cast<long double>(positions[row]) * inv_freq[k];
      EXPECT_NEAR(got[k], static_cast<double>(1.5L * std::cos(angle)), kTolerance);
      EXPECT_NEAR(got[4 + k], static_cast<double>(1.5L * std::sin(angle)), kTolerance);
    }
  }
}

// Rotates by the definition, pair by pair, in double.
std::vector<double> naive_rope(const std::vector<float>& x, const std::vector<float>& cos_sin,
                               size_t head_dim, bool interleaved) {
  std::vector<double> y(x.begin(), x.end());
  const size_t half = cos_sin.size() / 2;
  for (size_t head = 0; head < x.size(); head += head_dim) {
    for (size_t i = 0; i < half; ++i) {
      const size_t a = head + (interleaved ? 2 * i : i);
      const size_t b = head + (interleaved ? 2 * i + 1 : i + half);
      const double cosine = cos_sin[i], sine = cos_sin[half + i];
      y[a] = x[a] * cosine - x[b] * sine;
      y[b] = x[b] * cosine + x[a] * sine;
    }
  }
  return y;
}

TEST_P(Rope, RotatesEveryHeadInPlace) {
  for (bool interleaved : {false, true}) {
    for (auto [head_dim, rotated] : {std::pair{64, 64}, {16, 16}, {80, 80}, {64, 24}, {8, 2}}) {
      const int heads = 3, width = heads * head_dim;
      OpCase op_case{.op = "musaic::rope_",
                     .inputs = {TestTensor::random(DType::kF32, {5, width}, 1, 1, width + 40),
                                TestTensor::random(DType::kF32, {5, rotated}, 2)},
                     .attributes = {{"head_dim", int64_t{head_dim}}, {"interleaved", interleaved}},
                     .live_rows = 4,
                     .isa = GetParam()};
      for (TestTensor& input : op_case.inputs) input.poison_rows(4);
      const OpRun run = check_op(registry_, op_case);
      EXPECT_TRUE(run.inputs[0].row_is_poisoned(4));
      for (int row = 0; row < 4; ++row) {
        const auto expected = naive_rope(op_case.inputs[0].row(row), op_case.inputs[1].row(row),
                                         static_cast<size_t>(head_dim), interleaved);
        const std::vector<float> got = run.inputs[0].row(row);
        for (size_t k = 0; k < got.size(); ++k) EXPECT_NEAR(got[k], expected[k], kTolerance);
      }
    }
  }
}

TEST_P(Rope, RefusesARotationWiderThanTheHead) {
  EXPECT_THROW(
      run_op(registry_, {.op = "musaic::rope_",
                         .inputs = {TestTensor(DType::kF32, {2, 32}), TestTensor(DType::kF32, {2, 18})},
                         .attributes = {{"head_dim", int64_t{16}}}}),
      LoadError);
}

INSTANTIATE_TEST_SUITE_P(Isas, Rope, ::testing::ValuesIn(available_isas()),
                         [](const auto& isa) { return std::string(name(isa.param)); });

}  // namespace
}  // namespace musaic::testing
