#include "ops/norm_route_fp8/norm_route_fp8.h"

#include <gtest/gtest.h>

#include "ir/builder.h"
#include "ops/op_list.h"
#include "ops/testing/against_parts.h"
#include "ops/testing/run_op.h"
#include "ops/testing/test_device.h"

namespace musaic::testing {
namespace {

constexpr const char* kOp = "musaic::add_norm_route_fp8";
constexpr int kExperts = 64, kTopK = 6;

Attributes attributes_of(const char* layout) {
  return {{"eps", 1e-6},
          {"top_k", int64_t{kTopK}},
          {"num_groups", int64_t{4}},
          {"top_groups", int64_t{2}},
          {"renormalize", true},
          {"scale", 1.5},
          {"layout", layout}};
}

void expect_rows_near(const TestTensor& got, const TestTensor& expected, int row, double most) {
  const std::vector<float> values = got.row(row), wanted = expected.row(row);
  for (size_t i = 0; i < values.size(); ++i) ASSERT_NEAR(values[i], wanted[i], most) << row << ", " << i;
}

TestTensor rows_of(const TestTensor& tensor, int first, int count) {
  const std::vector<float> values = tensor.to_floats();
  const int64_t width = tensor.meta().shape[1].constant();
  return TestTensor::floats({values.data() + first * width, static_cast<size_t>(count * width)},
                            {count, width});
}

// Random logits lie far enough apart for the same choice. More tokens than a cluster takes, too, and more
// than all clusters take in one turn, or two.
TEST(NormRouteFp8, GivesWhatItsPartsGiveAndLeavesPadRowsAlone) {
  const OpRegistry registry = cpu_registry();
  if (!has_kernel_here(registry, kOp)) GTEST_SKIP() << "the tests' device has no kernel for it";
  for (const char* layout : {"compact", "contiguous", "masked"}) {
    for (int width : {256, 2048}) {
      for (int tokens : {1, 4, 16, 40, 300, 1050, 1700}) {
        const int live = tokens > 1 ? tokens - 1 : tokens;
        const auto rows = [&](uint32_t seed) {
          TestTensor tensor = TestTensor::random(DType::kF32, {tokens, width}, seed, 3);
          tensor.poison_rows(live);
          return tensor;
        };
        const OpCase op_case{.op = kOp,
                             .inputs = {rows(1), rows(2), TestTensor::random(DType::kBF16, {width}, 3),
                                        TestTensor::random(DType::kBF16, {kExperts, width}, 4)},
                             .attributes = attributes_of(layout),
                             .live_rows = live};
        const OpRun run = run_op(registry, op_case), parts = run_decomposition(registry, op_case);
        for (int row = 0; row < live; ++row) {
          expect_rows_near(run.inputs[1], parts.inputs[1], row, 0);       // residual
          expect_rows_near(run.outputs[0], parts.outputs[0], row, 32);    // a step of FP8
          expect_rows_near(run.outputs[1], parts.outputs[1], row, 1e-6);  // scales
          expect_rows_near(run.outputs[2], parts.outputs[2], row, 1e-4);  // weights
          expect_rows_near(run.outputs[4], parts.outputs[4], row, 0);     // token_row
        }
        EXPECT_TRUE(run.outputs[5].same_bits(parts.outputs[5])) << layout << ", " << tokens;
        EXPECT_TRUE(run.outputs[6].same_bits(parts.outputs[6])) << layout << ", " << tokens;
        if (live == tokens) continue;
        EXPECT_TRUE(run.inputs[1].row_is_poisoned(live));
      }
    }
  }
}

// With company and alone, in other tiles, turns and places of them.
TEST(NormRouteFp8, ATokensBitsAreItsOwn) {
  const OpRegistry registry = cpu_registry();
  if (!has_kernel_here(registry, kOp)) GTEST_SKIP() << "the tests' device has no kernel for it";
  constexpr int kTokens = 1700, kFew = 19, kWidth = 2048;
  const auto run = [&](const TestTensor& x, const TestTensor& residual) {
    return run_op(registry, {.op = kOp,
                             .inputs = {x, residual, TestTensor::random(DType::kBF16, {kWidth}, 3),
                                        TestTensor::random(DType::kBF16, {kExperts, kWidth}, 4)},
                             .attributes = attributes_of("compact")});
  };
  const TestTensor x = TestTensor::random(DType::kF32, {kTokens, kWidth}, 1, 3),
                   residual = TestTensor::random(DType::kF32, {kTokens, kWidth}, 2, 3);
  const OpRun all = run(x, residual);
  for (int first : {0, 5, 1000, kTokens - kFew}) {
    const OpRun few = run(rows_of(x, first, kFew), rows_of(residual, first, kFew));
    for (int row = 0; row < kFew; ++row) {
      EXPECT_EQ(few.inputs[1].row(row), all.inputs[1].row(first + row)) << first << ", residual";
      for (int output : {0, 1, 2})
        EXPECT_EQ(few.outputs[output].row(row), all.outputs[output].row(first + row))
            << first << ", " << output;
    }
  }
}

TEST(NormRouteFp8, ItsFakeGivesWhatItsDecompositionGives) {
  OpRegistry registry;
  define_ops(registry);
  define_gpu_ops(registry);
  GraphBuilder builder(registry, "g", {"musa", 0});
  const Dim tokens = Dim::symbol("tokens");
  const std::vector<Value> inputs = {builder.input("x", DType::kF32, {tokens, 256}),
                                     builder.input("residual", DType::kF32, {tokens, 256}),
                                     builder.weight({"norm"}, DType::kBF16, {256}),
                                     builder.weight({"router"}, DType::kBF16, {kExperts, 256})};
  Attributes attributes = attributes_of("contiguous");
  attributes.set("alignment", int64_t{128});
  expect_outputs_of_parts(registry, builder, kOp, inputs, attributes);
}

}  // namespace
}  // namespace musaic::testing
