#include "ops/linear/fused_linear.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <tuple>

#include "ops/op_list.h"
#include "ops/testing/against_parts.h"
#include "ops/testing/run_op.h"
#include "ops/testing/test_device.h"

namespace musaic::testing {
namespace {

constexpr int kHidden = 576;
constexpr int kColumns = 96;
constexpr int kFewRows = 16;
constexpr int kManyRows = 65;
constexpr int kAllRows = 300;

// An op, exact or with rows that are rounded to bf16.
class FusedLinear : public ::testing::TestWithParam<std::tuple<const char*, bool>> {
 protected:
  void SetUp() override {
    if (!has_kernel_here(registry_, op())) GTEST_SKIP() << "the tests' device has no fused linears";
  }

  std::string op() const { return std::get<0>(GetParam()); }
  bool rounds_x() const { return std::get<1>(GetParam()); }
  bool adds() const { return op() == "musaic::linear_add_"; }

  // The first `rows` of the same rows.
  OpCase make_case(int rows, int live) const {
    const TestTensor all = TestTensor::random(DType::kF32, {kAllRows, kHidden}, 1);
    const TestTensor all_sums = TestTensor::random(DType::kF32, {kAllRows, kColumns}, 2);
    const auto first = [&](const TestTensor& tensor, int64_t width) {
      std::vector<float> values = tensor.to_floats();
      values.resize(static_cast<size_t>(rows) * static_cast<size_t>(width));
      TestTensor part = TestTensor::floats(values, {rows, width});
      part.poison_rows(live);
      return part;
    };
    const TestTensor weight = TestTensor::random(DType::kBF16, {kColumns, kHidden}, 3);
    const TestTensor bias = TestTensor::random(DType::kF32, {kColumns}, 4);
    OpCase op_case{.op = op(), .inputs = {}, .attributes = {{"rounds_x", rounds_x()}}, .live_rows = live};
    if (adds()) {
      op_case.inputs = {first(all_sums, kColumns), first(all, kHidden), weight, bias};
    } else {
      op_case.inputs = {first(all, kHidden), TestTensor::random(DType::kBF16, {kHidden}, 5), weight, bias};
      op_case.attributes.set("eps", 1e-5);
    }
    return op_case;
  }
  static const TestTensor& result(const OpRun& run) {
    return run.outputs.empty() ? run.inputs[0] : run.outputs[0];
  }

  const OpRegistry registry_ = cpu_registry();
};

// Of a row's largest value: x is the sum of two bf16 values, 2^-18 from itself, and sums of 576 products
// differ in their order.
constexpr double kTolerance = 3e-5;
// Normed rows are rounded before their factor is applied, in the parts afterwards: some in the other
// direction.
constexpr double kRoundedTolerance = 1e-2;

TEST_P(FusedLinear, GivesWhatItsPartsGive) {
  const double tolerance = rounds_x() && !adds() ? kRoundedTolerance : kTolerance;
  for (int rows : {1, 9, 40, 80}) {
    const OpCase op_case = make_case(rows, rows);
    const OpRun run = check_op(registry_, op_case);
    const OpRun parts = run_decomposition(registry_, op_case);
    for (int row = 0; row < rows; ++row) {
      const std::vector<float> got = result(run).row(row), expected = result(parts).row(row);
      double scale = 0;
      for (float value : expected) scale = std::max(scale, std::abs(static_cast<double>(value)));
      for (size_t i = 0; i < got.size(); ++i)
        ASSERT_NEAR(got[i], expected[i], tolerance * scale) << "row " << row << " of " << rows;
    }
  }
}

// Many rows may have kernels of their own.
TEST_P(FusedLinear, ARowsBitsDependOnTheOthersOnlyByWhetherTheyAreMany) {
  const auto expect_same = [this](std::initializer_list<int> counts, const OpRun& all) {
    for (int rows : counts) {
      const OpRun some = check_op(registry_, make_case(rows, rows));
      for (int row = 0; row < rows; ++row)
        ASSERT_EQ(result(some).row(row), result(all).row(row)) << "row " << row << " of " << rows;
    }
  };
  expect_same({1, 8, 9, 13}, check_op(registry_, make_case(kFewRows, 14)));
  expect_same({kManyRows, 76, 128, 129, 200}, check_op(registry_, make_case(kAllRows, 290)));
}

INSTANTIATE_TEST_SUITE_P(Ops, FusedLinear,
                         ::testing::Combine(::testing::Values("musaic::rms_norm_linear",
                                                              "musaic::rms_norm_linear_swiglu",
                                                              "musaic::linear_add_"),
                                            ::testing::Bool()));

// A weight of many rows has a kernel of its own for few rows of x.
TEST(TallWeight, GivesARowTheBitsThatAPartOfItGives) {
  const OpRegistry registry = cpu_registry();
  if (!has_kernel_here(registry, "musaic::rms_norm_linear")) GTEST_SKIP() << "no fused linears";
  constexpr int64_t kTall = 8192, kPart = 64;
  for (const int64_t k : {64, 576, 1056}) {
    const TestTensor weight = TestTensor::random(DType::kBF16, {kTall, k}, 3);
    std::vector<float> values = weight.to_floats();
    values.resize(static_cast<size_t>(kPart * k));
    const TestTensor part = TestTensor::floats(values, {kPart, k}, DType::kBF16);
    for (const int rows : {1, 8, 13}) {
      OpCase op_case{.op = "musaic::rms_norm_linear",
                     .inputs = {TestTensor::random(DType::kF32, {rows, k}, 1),
                                TestTensor::random(DType::kBF16, {k}, 5),
                                weight,
                                {}},
                     .attributes = {{"eps", 1e-5}, {"rounds_x", true}}};
      const OpRun tall = check_op(registry, op_case);
      op_case.inputs[2] = part;
      const OpRun few = check_op(registry, op_case);
      for (int row = 0; row < rows; ++row) {
        std::vector<float> of_tall = tall.outputs[0].row(row);
        of_tall.resize(kPart);
        EXPECT_EQ(of_tall, few.outputs[0].row(row)) << k << " values, row " << row << " of " << rows;
      }
    }
  }
}

// On Hopper, many rows of many values are rounded ahead of their products, in tiles of three shapes.
class RoundedAhead : public ::testing::TestWithParam<const char*> {
 protected:
  static constexpr int64_t kDistinctRows = 100, kValues = 2080, kWeightRows = 4096;

  void SetUp() override {
    if (!has_kernel_here(registry_, GetParam())) GTEST_SKIP() << "the tests' device has no fused linears";
    x_ = TestTensor::random(DType::kF32, {kDistinctRows, kValues}, 1);
    sums_ = TestTensor::random(DType::kF32, {kDistinctRows, kWeightRows}, 2);
    weight_ = TestTensor::random(DType::kBF16, {kWeightRows, kValues}, 3);
    bias_ = TestTensor::random(DType::kF32, {kWeightRows}, 4);
    norm_ = TestTensor::random(DType::kBF16, {kValues}, 5);
    if (!run_op(registry_, make_case(1, 1)).kernel.ends_with("_sm90")) GTEST_SKIP() << "no Hopper GPU";
  }

  bool adds() const { return std::string(GetParam()) == "musaic::linear_add_"; }

  // `rows` rows that repeat the same hundred.
  static TestTensor repeated(const TestTensor& distinct, int64_t rows, int64_t width, int live) {
    const std::vector<float> once = distinct.to_floats();
    std::vector<float> values(static_cast<size_t>(rows * width));
    for (size_t i = 0; i < values.size(); ++i) values[i] = once[i % once.size()];
    TestTensor all = TestTensor::floats(values, {rows, width});
    all.poison_rows(live);
    return all;
  }
  OpCase make_case(int64_t rows, int live) const {
    const TestTensor x = repeated(x_, rows, kValues, live);
    OpCase op_case{.op = GetParam(), .inputs = {}, .attributes = {{"rounds_x", true}}, .live_rows = live};
    if (adds()) {
      op_case.inputs = {repeated(sums_, rows, kWeightRows, live), x, weight_, bias_};
    } else {
      op_case.inputs = {x, norm_, weight_, bias_};
      op_case.attributes.set("eps", 1e-5);
    }
    return op_case;
  }
  static const TestTensor& result(const OpRun& run) {
    return run.outputs.empty() ? run.inputs[0] : run.outputs[0];
  }

  const OpRegistry registry_ = cpu_registry();
  TestTensor x_, sums_, weight_, bias_, norm_;
};

TEST_P(RoundedAhead, GivesARowTheBitsThatItHasAmongFewer) {
  const OpRun fewer = check_op(registry_, make_case(kDistinctRows, kDistinctRows));
  for (const int rows : {300, 520, 1600}) {
    const int live = rows - 30;
    const OpRun many = check_op(registry_, make_case(rows, live));
    for (int row = 0; row < live; ++row)
      ASSERT_EQ(result(many).row(row), result(fewer).row(row % kDistinctRows))
          << "row " << row << " of " << rows;
  }
}

INSTANTIATE_TEST_SUITE_P(Ops, RoundedAhead,
                         ::testing::Values("musaic::rms_norm_linear", "musaic::rms_norm_linear_swiglu",
                                           "musaic::linear_add_"));

TEST(FusedLinearFakes, GiveWhatTheirDecompositionsGive) {
  OpRegistry registry;
  define_ops(registry);
  define_gpu_ops(registry);
  const Dim tokens = Dim::symbol("tokens");
  for (const char* op :
       {"musaic::rms_norm_linear", "musaic::rms_norm_linear_swiglu", "musaic::linear_add_"}) {
    GraphBuilder builder(registry, "g", {"musa", 0});
    const Value x = builder.input("x", DType::kF32, {tokens, 64});
    const Value norm = builder.weight({"norm"}, DType::kBF16, {64});
    const Value weight = builder.weight({"weight"}, DType::kBF16, {32, 64});
    const bool adds = std::string(op) == "musaic::linear_add_";
    const Value residual = builder.input("residual", DType::kF32, {tokens, 32});
    const std::vector<Value> inputs = adds ? std::vector<Value>{residual, x, weight, Value()}
                                           : std::vector<Value>{x, norm, weight, Value()};
    const Attributes attributes = adds ? Attributes{} : Attributes{{"eps", 1e-5}};
    expect_outputs_of_parts(registry, builder, op, inputs, attributes);
  }
}

}  // namespace
}  // namespace musaic::testing
