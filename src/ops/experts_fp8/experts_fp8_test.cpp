#include "ops/experts_fp8/experts_fp8.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "ops/op_list.h"
#include "ops/testing/against_parts.h"
#include "ops/testing/run_op.h"
#include "ops/testing/test_device.h"

namespace musaic::testing {
namespace {

constexpr int64_t kGroup = 128;
constexpr int64_t kExperts = 5, kHidden = 2 * kGroup, kWidth = kGroup, kShared = 3 * kGroup, kOut = 136;
constexpr int kMostRows = 330;
constexpr int kWideRows = 1000;  // of which both linears make wide tiles

// Grouped row i is token (i · 7) mod rows; expert 1 has nobody, expert 3 most rows.
struct Groups {
  TestTensor row_token, start, count;

  explicit Groups(int rows) {
    std::vector<int32_t> tokens, starts, counts;
    for (int row = 0; row < rows; ++row) tokens.push_back(row * 7 % rows);
    const int few = rows / 8;
    for (int rows_of : {few, 0, 2 * few, rows - 4 * few, few}) {
      starts.push_back(starts.empty() ? 0 : starts.back() + counts.back());
      counts.push_back(rows_of);
    }
    row_token = TestTensor::ints(tokens, {rows});
    start = TestTensor::ints(starts, {kExperts});
    count = TestTensor::ints(counts, {kExperts});
  }
};

class ExpertsFp8 : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!has_kernel_here(registry_, "musaic::experts_gate_up_fp8"))
      GTEST_SKIP() << "the tests' device has no kernel for it";
  }

  static TestTensor f8(const Shape& shape, uint32_t seed) {
    return TestTensor::random(DType::kF8E4M3, shape, seed, 100);
  }
  static TestTensor scales(const Shape& shape, uint32_t seed) {
    return TestTensor::random(DType::kF32, shape, seed, 0.01f);
  }
  static OpCase gate_up(int rows) {
    const Groups groups(rows);
    return {.op = "musaic::experts_gate_up_fp8",
            .inputs = {f8({rows, kHidden}, 1), scales({rows, 2}, 2), groups.row_token, groups.start,
                       groups.count, f8({kExperts, 2 * kWidth, kHidden}, 3), scales({kExperts, 2, 2}, 4),
                       f8({2 * kShared, kHidden}, 5), scales({6, 2}, 6)},
            .attributes = {}};
  }
  static OpCase down(int rows) {
    const Groups groups(rows);
    return {.op = "musaic::experts_down_fp8",
            .inputs = {f8({rows, kWidth}, 1), scales({rows, 1}, 2), groups.start, groups.count,
                       f8({kExperts, kOut, kWidth}, 3), scales({kExperts, 2, 1}, 4), f8({rows, kShared}, 5),
                       scales({rows, 3}, 6), f8({kOut, kShared}, 7), scales({2, 3}, 8)},
            .attributes = {}};
  }

  // Both, with the width of down's rows.
  static OpCase both(int rows) {
    OpCase op_case = gate_up(rows);
    op_case.op = "musaic::experts_fp8";
    for (const TestTensor& weight : {f8({kExperts, kOut, kWidth}, 13), scales({kExperts, 2, 1}, 14),
                                     f8({kOut, kShared}, 17), scales({2, 3}, 18)})
      op_case.inputs.push_back(weight);
    return op_case;
  }

  const OpRegistry registry_ = cpu_registry();
};

// Rows in FP8 as floats.
std::vector<float> values_of(const TestTensor& q, const TestTensor& scale, int row) {
  std::vector<float> values = q.row(row);
  const std::vector<float> scales = scale.row(row);
  for (size_t i = 0; i < values.size(); ++i) values[i] *= scales[i / kGroup];
  return values;
}

double largest(const std::vector<float>& values) {
  double most = 0;
  for (float value : values) most = std::max(most, std::abs(static_cast<double>(value)));
  return most;
}

void expect_near(const std::vector<float>& got, const std::vector<float>& expected, double most,
                 double average) {
  const double scale = largest(expected);
  double sum = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    const double error = std::abs(static_cast<double>(got[i]) - expected[i]);
    ASSERT_LE(error, most * scale) << "value " << i;
    sum += error;
  }
  EXPECT_LE(sum, average * scale * static_cast<double>(got.size()));
}

// One rounding step of FP8 at most, and seldom: the sums differ by 10^-4 of their terms.
TEST_F(ExpertsFp8, GateUpGivesTheSwigluOfItsParts) {
  for (int rows : {8, 40, 65, 200, kMostRows, kWideRows}) {
    const OpCase op_case = gate_up(rows);
    const OpRun run = check_op(registry_, op_case), parts = run_decomposition(registry_, op_case);
    for (int row = 0; row < rows; ++row) {
      for (size_t i : {0, 2})
        expect_near(values_of(run.outputs[i], run.outputs[i + 1], row),
                    values_of(parts.outputs[i], parts.outputs[i + 1], row), 0.075, 0.002);
    }
  }
}

// Both steps have the same first tokens, and expert 0 the same first rows.
TEST_F(ExpertsFp8, WideTilesGiveTheBitsOfOthers) {
  constexpr int kRows = 200, kRoutedRows = kRows / 8;
  const auto check = [&](const OpCase& wide_case, const OpCase& other_case) {
    const OpRun wide = run_op(registry_, wide_case), other = run_op(registry_, other_case);
    const size_t outputs = wide.outputs.size();
    for (size_t i = 0; i < outputs; ++i) {
      for (int row = 0; row < (i < outputs / 2 ? kRoutedRows : kRows); ++row)
        EXPECT_EQ(wide.outputs[i].row(row), other.outputs[i].row(row)) << "row " << row << " of " << i;
    }
  };
  check(gate_up(kWideRows), gate_up(kRows));
  check(down(kWideRows), down(kRows));
}

TEST_F(ExpertsFp8, DownGivesWhatItsPartsGive) {
  for (int rows : {8, 40, kMostRows, kWideRows}) {
    const OpCase op_case = down(rows);
    const OpRun run = check_op(registry_, op_case), parts = run_decomposition(registry_, op_case);
    for (int row = 0; row < rows; ++row) {
      for (size_t i : {0, 1}) expect_near(run.outputs[i].row(row), parts.outputs[i].row(row), 1e-3, 2e-4);
    }
  }
}

TEST_F(ExpertsFp8, OneLaunchGivesTheBitsOfTwo) {
  for (int rows : {1, 8, 16, 40}) {
    const OpCase op_case = both(rows);
    const OpRun run = check_op(registry_, op_case);
    const std::vector<TestTensor> x = run_op(registry_, gate_up(rows)).outputs;
    const auto& in = op_case.inputs;
    const OpRun parts =
        run_op(registry_, {.op = "musaic::experts_down_fp8",
                           .inputs = {x[0], x[1], in[3], in[4], in[9], in[10], x[2], x[3], in[11], in[12]},
                           .attributes = {}});
    for (int row = 0; row < rows; ++row) {
      for (size_t i : {0, 1})
        EXPECT_EQ(run.outputs[i].row(row), parts.outputs[i].row(row)) << "row " << row << " of " << rows;
    }
  }
}

// A value between that rounds the other way moves a whole row by up to an eighth of it: one of many terms.
TEST_F(ExpertsFp8, BothGiveWhatTheirPartsGive) {
  for (int rows : {8, 40}) {
    const OpCase op_case = both(rows);
    const OpRun run = check_op(registry_, op_case), parts = run_decomposition(registry_, op_case);
    for (int row = 0; row < rows; ++row) {
      for (size_t i : {0, 1}) expect_near(run.outputs[i].row(row), parts.outputs[i].row(row), 0.075, 0.02);
    }
  }
}

TEST_F(ExpertsFp8, PadRowsOfTheSharedExpertsAreLeftAlone) {
  constexpr int kRows = 24, kLive = 17;
  OpCase op_case = down(kRows);
  op_case.live_rows = kLive;
  const OpRun run = run_op(registry_, op_case);
  for (int row = 0; row < kRows; ++row) EXPECT_EQ(run.outputs[1].row_is_poisoned(row), row >= kLive) << row;
}

TEST_F(ExpertsFp8, OneLaunchLeavesThemAloneToo) {
  constexpr int kRows = 12, kLive = 9;
  OpCase op_case = both(kRows);
  op_case.live_rows = kLive;
  const OpRun run = run_op(registry_, op_case);
  for (int row = 0; row < kRows; ++row) EXPECT_EQ(run.outputs[1].row_is_poisoned(row), row >= kLive) << row;
}

TEST(ExpertsFp8Fakes, GiveWhatTheirDecompositionsGive) {
  OpRegistry registry;
  define_ops(registry);
  define_gpu_ops(registry);
  GraphBuilder builder(registry, "g", {"musa", 0});
  const Dim tokens = Dim::symbol("tokens");
  const auto rows = [&](const std::string& name, const Dim& count, int64_t width) {
    return Fp8Rows{builder.input(name, DType::kF8E4M3, {count, width}),
                   builder.input(name + "_scale", DType::kF32, {count, width / kGroup})};
  };
  const auto ints = [&](const char* name, const Dim& count) {
    return builder.input(name, DType::kI32, {count});
  };
  const auto weight = [&](const char* name, DimShape shape, DimShape blocks) {
    return std::pair(builder.weight({name}, DType::kF8E4M3, std::move(shape)),
                     builder.weight({std::string(name) + "_scale"}, DType::kF32, std::move(blocks)));
  };
  const ExpertRows groups = {ints("row_token", tokens * 2), {}, ints("start", 4), ints("count", 4)};
  const auto [gate_up, gate_up_scale] = weight("gate_up", {4, 256, 256}, {4, 2, 2});
  const auto [shared, shared_scale] = weight("shared", {512, 256}, {4, 2});
  const auto [down, down_scale] = weight("down", {4, 192, 128}, {4, 2, 1});
  const auto [shared_down, shared_down_scale] = weight("shared_down", {192, 256}, {2, 2});
  const Fp8Rows x = rows("x", tokens, 256), routed = rows("routed", tokens * 2, 128),
                other = rows("other", tokens, 256);
  const std::vector<std::pair<std::string, std::vector<Value>>> calls = {
      {"musaic::experts_gate_up_fp8",
       {x.q, x.scale, groups.row_token, groups.start, groups.count, gate_up, gate_up_scale, shared,
        shared_scale}},
      {"musaic::experts_down_fp8",
       {routed.q, routed.scale, groups.start, groups.count, down, down_scale, other.q, other.scale,
        shared_down, shared_down_scale}},
      {"musaic::experts_fp8",
       {x.q, x.scale, groups.row_token, groups.start, groups.count, gate_up, gate_up_scale, shared,
        shared_scale, down, down_scale, shared_down, shared_down_scale}}};
  for (const auto& [op, inputs] : calls) expect_outputs_of_parts(registry, builder, op, inputs, {});
  EXPECT_TRUE(verify(builder.graph(), registry).empty());
}

}  // namespace
}  // namespace musaic::testing
