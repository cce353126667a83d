#include "ops/grouped_linear/grouped_linear.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/status.h"
#include "ops/testing/run_op.h"

namespace musaic::testing {
namespace {

constexpr int kExperts = 4, kOut = 76, kIn = 300, kTokens = 6, kRows = 20;
// Expert 2 has no rows; rows 5 to 7 and from 13 on belong to nobody.
const std::vector<int32_t> kStart = {0, 8, 12, 12}, kCount = {5, 4, 0, 1};
const std::vector<int32_t> kRowToken = {0, 1, 2, 3, 5, -1, 99, 99, 5, 4, 0, 2, 3, 99, 99, 99, 99, 99, 99, 99};

int expert_of(int row) {
  for (int e = 0; e < kExperts; ++e) {
    if (row >= kStart[e] && row < kStart[e] + kCount[e]) return e;
  }
  return -1;
}

TestTensor slice_of(const TestTensor& tensor, int64_t index, const Shape& shape) {
  return TestTensor::floats(tensor.row(index), shape);
}

// Every row of an expert against the linear of that expert alone, bit for bit.
template <class Expected>
void expect_rows(const TestTensor& got, const Expected& expected) {
  for (int row = 0; row < kRows; ++row) {
    const int expert = expert_of(row);
    if (expert < 0) {
      EXPECT_TRUE(got.row_is_poisoned(row)) << "row " << row << " belongs to nobody";
    } else {
      EXPECT_EQ(got.row(row), expected(row, expert)) << "row " << row << ", expert " << expert;
    }
  }
}

class GroupedLinear : public ::testing::TestWithParam<CpuIsa> {
 protected:
  OpRun check(const char* op, std::vector<TestTensor> inputs, Attributes attributes = {}) const {
    return check_op(registry_,
                    {.op = op, .inputs = std::move(inputs), .attributes = attributes, .isa = GetParam()});
  }
  const OpRegistry registry_ = cpu_registry();
};

INSTANTIATE_TEST_SUITE_P(Isas, GroupedLinear, ::testing::ValuesIn(available_isas()),
                         [](const auto& isa) { return std::string(name(isa.param)); });

TEST_P(GroupedLinear, EachRowMeetsItsExpertAndNoOtherIsRead) {
  TestTensor weight = TestTensor::random(DType::kF32, {kExperts, kOut, kIn}, 2);
  float* unused = weight.tensor().as<float>() + 2 * kOut * kIn;
  std::fill(unused, unused + kOut * kIn, std::nanf(""));
  const auto linear = [&](const TestTensor& x, int64_t row, int expert) {
    const OpRun run =
        run_op(registry_, {.op = "aten::linear",
                           .inputs = {slice_of(x, row, {1, kIn}), slice_of(weight, expert, {kOut, kIn}), {}},
                           .attributes = {},
                           .isa = GetParam()});
    return run.outputs[0].row(0);
  };
  const TestTensor start = TestTensor::ints(kStart), count = TestTensor::ints(kCount);
  const TestTensor tokens = TestTensor::random(DType::kF32, {kTokens, kIn}, 1, 1, kIn + 9);
  const OpRun by_token =
      check("musaic::grouped_linear", {tokens, TestTensor::ints(kRowToken), start, count, weight});
  expect_rows(by_token.outputs[0],
              [&](int row, int expert) { return linear(tokens, kRowToken[row], expert); });
  const TestTensor rows = TestTensor::random(DType::kF32, {kRows, kIn}, 3);
  const OpRun grouped = check("musaic::grouped_linear", {rows, {}, start, count, weight});
  expect_rows(grouped.outputs[0], [&](int row, int expert) { return linear(rows, row, expert); });
}

TEST_P(GroupedLinear, InFp8ThePartsOfAWeightHaveBlocksOfTheirOwn) {
  for (int parts : {1, 2}) {
    const int part = kOut / parts;
    const TestTensor weight = TestTensor::random(DType::kF8E4M3, {kExperts, kOut, kIn}, 2, 400);
    const TestTensor scale = TestTensor::random(DType::kF32, {kExperts, parts, 3}, 4);
    const auto linear = [&](const TestTensor& q, const TestTensor& s, int64_t row, int expert) {
      std::vector<float> y;
      const std::vector<float> values = weight.row(expert), scales = scale.row(expert);
      for (int p = 0; p < parts; ++p) {
        const std::vector<float> own(values.begin() + p * part * kIn, values.begin() + (p + 1) * part * kIn);
        const std::vector<float> blocks(scales.begin() + p * 3, scales.begin() + (p + 1) * 3);
        const OpRun run =
            run_op(registry_, {.op = "musaic::linear_fp8",
                               .inputs = {TestTensor::floats(q.row(row), {1, kIn}, DType::kF8E4M3),
                                          slice_of(s, row, {1, 3}),
                                          TestTensor::floats(own, {part, kIn}, DType::kF8E4M3),
                                          TestTensor::floats(blocks, {1, 3}),
                                          {}},
                               .attributes = {},
                               .isa = GetParam()});
        const std::vector<float> columns = run.outputs[0].row(0);
        y.insert(y.end(), columns.begin(), columns.end());
      }
      return y;
    };
    const TestTensor start = TestTensor::ints(kStart), count = TestTensor::ints(kCount);
    const Attributes attributes = {{"parts", int64_t{parts}}};
    const TestTensor q = TestTensor::random(DType::kF8E4M3, {kTokens, kIn}, 1, 400);
    const TestTensor s = TestTensor::random(DType::kF32, {kTokens, 3}, 5);
    const OpRun by_token =
        check("musaic::grouped_linear_fp8", {q, s, TestTensor::ints(kRowToken), start, count, weight, scale},
              attributes);
    expect_rows(by_token.outputs[0],
                [&](int row, int expert) { return linear(q, s, kRowToken[row], expert); });
    const TestTensor rows = TestTensor::random(DType::kF8E4M3, {kRows, kIn}, 6, 400);
    const TestTensor row_scales = TestTensor::random(DType::kF32, {kRows, 3}, 7);
    const OpRun grouped =
        check("musaic::grouped_linear_fp8", {rows, row_scales, {}, start, count, weight, scale}, attributes);
    expect_rows(grouped.outputs[0],
                [&](int row, int expert) { return linear(rows, row_scales, row, expert); });
  }
}

TEST_P(GroupedLinear, InFp8WholeBlocksFollowTheNaiveLoop) {
  constexpr int kParts = 2, kColumns = 2 * kOut, kWidth = 256, kBlocks = 2;
  const TestTensor weight = TestTensor::random(DType::kF8E4M3, {kExperts, kColumns, kWidth}, 2, 400);
  const TestTensor blocks = TestTensor::random(DType::kF32, {kExperts, kParts, kBlocks}, 4);
  const TestTensor q = TestTensor::random(DType::kF8E4M3, {kTokens, kWidth}, 1, 400);
  const TestTensor scale = TestTensor::random(DType::kF32, {kTokens, kBlocks}, 5);
  const OpRun run = check("musaic::grouped_linear_fp8",
                          {q, scale, TestTensor::ints(kRowToken), TestTensor::ints(kStart),
                           TestTensor::ints(kCount), weight, blocks},
                          {{"parts", int64_t{kParts}}});
  // float32 sums, but those of a group by Hopper's matrix units keep 14 bits.
  const double tolerance = run.kernel == "grouped_linear_fp8_sm90" ? 3e-4 : 1e-6;
  for (int row = 0; row < kRows; ++row) {
    const int expert = expert_of(row);
    if (expert < 0) {
      EXPECT_TRUE(run.outputs[0].row_is_poisoned(row)) << "row " << row << " belongs to nobody";
      continue;
    }
    const std::vector<float> x = q.row(kRowToken[row]), s = scale.row(kRowToken[row]);
    const std::vector<float> w = weight.row(expert), ws = blocks.row(expert), y = run.outputs[0].row(row);
    for (int n = 0; n < kColumns; ++n) {
      double sum = 0, magnitude = 0;
      for (int k = 0; k < kWidth; ++k) {
        const double product =
            double{x[k]} * s[k / 128] * w[n * kWidth + k] * ws[n / kOut * kBlocks + k / 128];
        sum += product;
        magnitude += std::abs(product);
      }
      ASSERT_NEAR(y[n], sum, tolerance * magnitude + 1e-6) << "row " << row << ", column " << n;
    }
  }
}

TEST(GroupedLinearFake, WrongShapesAreRefused) {
  const OpRegistry registry = cpu_registry();
  GraphBuilder builder(registry, "g", {});
  const Dim tokens = Dim::symbol("tokens");
  const Value x = builder.input("x", DType::kF32, {tokens, 64});
  const ExpertRows groups = moe_route(builder.input("experts", DType::kI32, {tokens, 2}), 8);
  const auto weight = [&](const char* name, DType dtype, DimShape shape) {
    return builder.weight({name}, dtype, std::move(shape));
  };
  EXPECT_EQ(to_string(grouped_linear(x, groups, true, weight("w", DType::kBF16, {8, 192, 64})).meta()),
            "f32[tokens * 2, 192] cpu");
  EXPECT_THROW(grouped_linear(x, groups, true, weight("few", DType::kBF16, {7, 192, 64})), LoadError);
  EXPECT_THROW(grouped_linear(x, groups, true, weight("k", DType::kBF16, {8, 192, 32})), LoadError);
  const Value f8 = weight("f8", DType::kF8E4M3, {8, 384, 64});
  const Value whole = weight("whole", DType::kF32, {8, 3, 1}),
              apart = weight("apart", DType::kF32, {8, 4, 1});
  EXPECT_NO_THROW(grouped_linear_fp8(quantize_fp8(x), groups, true, f8, whole));
  EXPECT_NO_THROW(grouped_linear_fp8(quantize_fp8(x), groups, true, f8, apart, 2));
  EXPECT_THROW(grouped_linear_fp8(quantize_fp8(x), groups, true, f8, whole, 2), LoadError);
}

}  // namespace
}  // namespace musaic::testing
