#include "ops/moe_combine/combine_norm_fp8.h"

#include <gtest/gtest.h>

#include "ops/op_list.h"
#include "ops/testing/against_parts.h"
#include "ops/testing/run_op.h"
#include "ops/testing/test_device.h"

namespace musaic::testing {
namespace {

constexpr const char* kOp = "musaic::moe_combine_norm_quant_fp8";

TEST(CombineNormFp8, GivesWhatItsPartsGiveAndLeavesPadRowsAlone) {
  constexpr int kTokens = 6, kLive = 5, kTopK = 3, kRows = 20;
  const OpRegistry registry = cpu_registry();
  if (!has_kernel_here(registry, kOp)) GTEST_SKIP() << "the tests' device has no kernel for it";
  std::vector<int32_t> token_row;
  for (int i = 0; i < kTokens * kTopK; ++i) token_row.push_back(i * 7 % kRows);
  for (int width : {128, 150, 2048}) {
    const auto rows = [&](uint32_t seed) {
      TestTensor tensor = TestTensor::random(DType::kF32, {kTokens, width}, seed, 3);
      tensor.poison_rows(kLive);
      return tensor;
    };
    const OpCase op_case{.op = kOp,
                         .inputs = {TestTensor::random(DType::kF32, {kRows, width}, 1),
                                    TestTensor::ints(token_row, {kTokens, kTopK}),
                                    TestTensor::random(DType::kF32, {kTokens, kTopK}, 2), rows(3), rows(4),
                                    TestTensor::random(DType::kBF16, {width}, 5)},
                         .attributes = {{"eps", 1e-6}},
                         .live_rows = kLive};
    const OpRun run = check_op(registry, op_case), parts = run_decomposition(registry, op_case);
    for (int row = 0; row < kLive; ++row) {
      const std::vector<float> q = run.outputs[0].row(row), expected = parts.outputs[0].row(row);
      const std::vector<float> sum = run.inputs[4].row(row), expected_sum = parts.inputs[4].row(row);
      int different = 0;
      for (size_t i = 0; i < q.size(); ++i) {
        ASSERT_NEAR(sum[i], expected_sum[i], 1e-5) << width;
        ASSERT_NEAR(q[i], expected[i], 32) << width;  // a step of FP8 where a sum is rounded otherwise
        different += q[i] != expected[i];
      }
      EXPECT_LE(different, width / 100) << width;
      const std::vector<float> scale = run.outputs[1].row(row), expected_scale = parts.outputs[1].row(row);
      for (size_t i = 0; i < scale.size(); ++i) EXPECT_NEAR(scale[i], expected_scale[i], 1e-6) << width;
    }
    EXPECT_TRUE(run.inputs[4].row_is_poisoned(kLive));
  }
}

TEST(CombineNormFp8, ItsFakeGivesWhatItsDecompositionGives) {
  OpRegistry registry;
  define_ops(registry);
  define_gpu_ops(registry);
  GraphBuilder builder(registry, "g", {"musa", 0});
  const Dim tokens = Dim::symbol("tokens");
  const std::vector<Value> inputs = {builder.input("x", DType::kF32, {tokens * 2, 256}),
                                     builder.input("token_row", DType::kI32, {tokens, 2}),
                                     builder.input("weights", DType::kF32, {tokens, 2}),
                                     Value(),
                                     builder.input("residual", DType::kF32, {tokens, 256}),
                                     builder.weight({"norm"}, DType::kBF16, {256})};
  expect_outputs_of_parts(registry, builder, kOp, inputs, {{"eps", 1e-5}});
}

}  // namespace
}  // namespace musaic::testing
