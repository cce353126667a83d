#include "ops/experts_fp8/experts_norm_fp8.h"

#include <gtest/gtest.h>

#include "ops/op_list.h"
#include "ops/testing/against_parts.h"
#include "ops/testing/run_op.h"
#include "ops/testing/test_device.h"

namespace musaic::testing {
namespace {

constexpr int64_t kExperts = 4, kTopK = 2, kHidden = 256, kWidth = 128, kShared = 256;
constexpr const char* kOp = "musaic::experts_norm_quant_fp8";

// Token t chooses experts t mod 4 and the next one; the rows of experts follow one another.
struct Routing {
  TestTensor row_token, token_row, start, count;

  explicit Routing(int tokens) {
    std::vector<int32_t> starts, counts, rows, places(static_cast<size_t>(tokens) * kTopK);
    for (int expert = 0; expert < kExperts; ++expert) {
      starts.push_back(static_cast<int32_t>(rows.size()));
      for (int i = 0; i < tokens * kTopK; ++i) {
        if ((i / kTopK + i % kTopK) % kExperts != expert) continue;
        places[static_cast<size_t>(i)] = static_cast<int32_t>(rows.size());
        rows.push_back(i / static_cast<int>(kTopK));
      }
      counts.push_back(static_cast<int32_t>(rows.size()) - starts.back());
    }
    row_token = TestTensor::ints(rows, {tokens * kTopK});
    token_row = TestTensor::ints(places, {tokens, kTopK});
    start = TestTensor::ints(starts, {kExperts});
    count = TestTensor::ints(counts, {kExperts});
  }
};

class ExpertsNormFp8 : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!has_kernel_here(registry_, kOp)) GTEST_SKIP() << "the tests' device has no kernel for it";
  }

  static OpCase experts_norm(int tokens, int64_t width) {
    const auto f8 = [](const Shape& shape, uint32_t seed) {
      return TestTensor::random(DType::kF8E4M3, shape, seed, 100);
    };
    const auto scales = [](const Shape& shape, uint32_t seed) {
      return TestTensor::random(DType::kF32, shape, seed, 0.01f);
    };
    const int64_t blocks = (width + 127) / 128;
    const Routing routing(tokens);
    return {.op = kOp,
            .inputs = {f8({tokens, kHidden}, 1), scales({tokens, 2}, 2), routing.row_token, routing.start,
                       routing.count, f8({kExperts, 2 * kWidth, kHidden}, 3), scales({kExperts, 2, 2}, 4),
                       f8({2 * kShared, kHidden}, 5), scales({4, 2}, 6), f8({kExperts, width, kWidth}, 7),
                       scales({kExperts, blocks, 1}, 8), f8({width, kShared}, 9), scales({blocks, 2}, 10),
                       routing.token_row, TestTensor::random(DType::kF32, {tokens, kTopK}, 11),
                       TestTensor::random(DType::kF32, {tokens, width}, 12, 3),
                       TestTensor::random(DType::kBF16, {width}, 13)},
            .attributes = {{"eps", 1e-6}}};
  }

  const OpRegistry registry_ = cpu_registry();
};

// In bf16 and back.
TestTensor rounded(const TestTensor& tensor) {
  const Shape shape = tensor.tensor().shape;
  return TestTensor::floats(TestTensor::floats(tensor.to_floats(), shape, DType::kBF16).to_floats(), shape);
}

// Rows of 264 results are copied as a whole, those of 140 begin where they cannot be.
TEST_F(ExpertsNormFp8, GivesTheBitsOfTheSumOfRoundedResults) {
  for (int64_t width : {140, 264}) {
    for (int tokens : {1, 9, 40, 150, 700}) {
      const OpCase op_case = experts_norm(tokens, width);
      const auto& in = op_case.inputs;
      const OpRun run = check_op(registry_, op_case);
      const std::vector<TestTensor> results =
          run_op(registry_,
                 {.op = "musaic::experts_fp8", .inputs = {in.begin(), in.begin() + 13}, .attributes = {}})
              .outputs;
      const OpRun sum = run_op(
          registry_, {.op = "musaic::moe_combine_norm_quant_fp8",
                      .inputs = {rounded(results[0]), in[13], in[14], rounded(results[1]), in[15], in[16]},
                      .attributes = op_case.attributes});
      for (int row = 0; row < tokens; ++row) {
        EXPECT_EQ(run.inputs[15].row(row), sum.inputs[4].row(row)) << row << " of " << tokens;
        for (size_t i : {0, 1})
          EXPECT_EQ(run.outputs[i].row(row), sum.outputs[i].row(row)) << row << " of " << tokens;
      }
    }
  }
}

TEST_F(ExpertsNormFp8, PadRowsAreLeftAlone) {
  constexpr int kTokens = 12, kLive = 9;
  OpCase op_case = experts_norm(kTokens, 264);
  op_case.live_rows = kLive;
  op_case.inputs[15].poison_rows(kLive);
  const OpRun run = run_op(registry_, op_case);
  for (int row = 0; row < kTokens; ++row) {
    EXPECT_EQ(run.outputs[0].row_is_poisoned(row), row >= kLive) << row;
    EXPECT_EQ(run.inputs[15].row_is_poisoned(row), row >= kLive) << row;
  }
}

TEST(ExpertsNormFp8Fake, GivesWhatItsDecompositionGives) {
  OpRegistry registry;
  define_ops(registry);
  define_gpu_ops(registry);
  GraphBuilder builder(registry, "g", {"musa", 0});
  const Dim tokens = Dim::symbol("tokens");
  const auto f8 = [&](const char* name, DimShape shape) {
    return builder.weight({name}, DType::kF8E4M3, std::move(shape));
  };
  const auto f32 = [&](const char* name, DimShape shape) {
    return builder.weight({name}, DType::kF32, std::move(shape));
  };
  const auto ints = [&](const char* name, DimShape shape) {
    return builder.input(name, DType::kI32, std::move(shape));
  };
  const std::vector<Value> inputs = {builder.input("x", DType::kF8E4M3, {tokens, 256}),
                                     builder.input("xs", DType::kF32, {tokens, 2}),
                                     ints("row_token", {tokens * 2}),
                                     ints("start", {4}),
                                     ints("count", {4}),
                                     f8("gate_up", {4, 256, 256}),
                                     f32("gate_up_scale", {4, 2, 2}),
                                     f8("shared", {512, 256}),
                                     f32("shared_scale", {4, 2}),
                                     f8("down", {4, 192, 128}),
                                     f32("down_scale", {4, 2, 1}),
                                     f8("shared_down", {192, 256}),
                                     f32("shared_down_scale", {2, 2}),
                                     ints("token_row", {tokens, 2}),
                                     builder.input("weights", DType::kF32, {tokens, 2}),
                                     builder.input("residual", DType::kF32, {tokens, 192}),
                                     builder.weight({"norm"}, DType::kBF16, {192})};
  expect_outputs_of_parts(registry, builder, kOp, inputs, {{"eps", 1e-5}});
}

}  // namespace
}  // namespace musaic::testing
