#include "ops/linear_fp8/linear_fp8.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/status.h"
#include "ops/testing/run_op.h"

namespace musaic::testing {
namespace {

class LinearFp8 : public ::testing::TestWithParam<CpuIsa> {
 protected:
  const OpRegistry registry_ = cpu_registry();
};

INSTANTIATE_TEST_SUITE_P(Isas, LinearFp8, ::testing::ValuesIn(available_isas()),
                         [](const auto& isa) { return std::string(name(isa.param)); });

TEST_P(LinearFp8, FollowsTheNaiveLoopWithRaggedLastBlocks) {
  struct Size {
    int rows, n, k;
  };
  for (const Size& size : {Size{1, 576, 128}, Size{5, 130, 344}, Size{9, 64, 2300}, Size{40, 200, 256}}) {
    const int groups = (size.k + 127) / 128;
    const auto f8 = [](int rows, int columns, uint32_t seed) {
      return TestTensor::random(DType::kF8E4M3, {rows, columns}, seed, 400);
    };
    const TestTensor q = f8(size.rows, size.k, 1), weight = f8(size.n, size.k, 3);
    const TestTensor scale = TestTensor::random(DType::kF32, {size.rows, groups}, 2);
    const TestTensor blocks = TestTensor::random(DType::kF32, {(size.n + 127) / 128, groups}, 4);
    const TestTensor bias = TestTensor::random(DType::kF32, {size.n}, 5);
    const OpRun run = check_op(registry_, {.op = "musaic::linear_fp8",
                                           .inputs = {q, scale, weight, blocks, bias},
                                           .attributes = {},
                                           .isa = GetParam()});
    // float32 sums, but those of a group by Hopper's matrix units keep 14 bits.
    const double tolerance = run.kernel == "linear_fp8_sm90" && size.rows > 32 ? 3e-4 : 1e-6;
    for (int row = 0; row < size.rows; ++row) {
      const std::vector<float> x = q.row(row), s = scale.row(row), y = run.outputs[0].row(row);
      for (int n = 0; n < size.n; ++n) {
        const std::vector<float> w = weight.row(n), ws = blocks.row(n / 128);
        double sum = bias.to_floats()[n], magnitude = 0;
        for (int k = 0; k < size.k; ++k) {
          const double product = double{x[k]} * s[k / 128] * w[k] * ws[k / 128];
          sum += product;
          magnitude += std::abs(product);
        }
        ASSERT_NEAR(y[n], sum, tolerance * magnitude + 1e-6) << "row " << row << ", column " << n;
      }
    }
  }
}

TEST_P(LinearFp8, ARowDoesNotDependOnTheOthers) {
  const TestTensor q = TestTensor::random(DType::kF8E4M3, {7, 200}, 1, 400);
  const TestTensor scale = TestTensor::random(DType::kF32, {7, 2}, 2);
  const TestTensor weight = TestTensor::random(DType::kF8E4M3, {40, 200}, 3, 400);
  const TestTensor blocks = TestTensor::random(DType::kF32, {1, 2}, 4);
  const auto run = [&](const TestTensor& rows, const TestTensor& scales) {
    return check_op(registry_, {.op = "musaic::linear_fp8",
                                .inputs = {rows, scales, weight, blocks, {}},
                                .attributes = {},
                                .isa = GetParam()});
  };
  const OpRun all = run(q, scale);
  for (int row = 0; row < 7; ++row) {
    const OpRun one = run(TestTensor::floats(q.row(row), {1, 200}, DType::kF8E4M3),
                          TestTensor::floats(scale.row(row), {1, 2}));
    EXPECT_EQ(one.outputs[0].row(0), all.outputs[0].row(row));
  }
}

// As many as a device takes to tiles of several shapes.
TEST_P(LinearFp8, AmongManyRowsTheBitsOfOneAreTheSame) {
  struct Size {
    int many, out, in;
  };
  constexpr int kFewer = 40;
  for (const auto& [many, out, in] : {Size{150, 200, 256},
                                      {300, 2052, 128},
                                      {330, 2052, 128},
                                      {600, 2052, 128},
                                      {1100, 2052, 128},
                                      {1600, 2052, 128}}) {
    const int groups = in / 128;
    const TestTensor q = TestTensor::random(DType::kF8E4M3, {many, in}, 1, 400);
    const TestTensor scale = TestTensor::random(DType::kF32, {many, groups}, 2);
    const TestTensor weight = TestTensor::random(DType::kF8E4M3, {out, in}, 3, 400);
    const TestTensor blocks = TestTensor::random(DType::kF32, {(out + 127) / 128, groups}, 4);
    const auto run = [&](int rows) {
      std::vector<float> first_q, first_scale;
      for (int row = 0; row < rows; ++row) {
        for (float value : q.row(row)) first_q.push_back(value);
        for (float value : scale.row(row)) first_scale.push_back(value);
      }
      return check_op(registry_, {.op = "musaic::linear_fp8",
                                  .inputs = {TestTensor::floats(first_q, {rows, in}, DType::kF8E4M3),
                                             TestTensor::floats(first_scale, {rows, groups}),
                                             weight,
                                             blocks,
                                             {}},
                                  .attributes = {},
                                  .isa = GetParam()});
    };
    const OpRun among_many = run(many), fewer = run(kFewer);
    for (int row = 0; row < kFewer; ++row)
      ASSERT_EQ(fewer.outputs[0].row(row), among_many.outputs[0].row(row)) << many << ", row " << row;
  }
}

TEST(LinearFp8Fake, AWrongArgumentIsNamed) {
  const OpRegistry registry = cpu_registry();
  GraphBuilder builder(registry, "g", {});
  const Value x = builder.input("x", DType::kF32, {Dim::symbol("tokens"), 344});
  const Fp8Rows rows = quantize_fp8(x);
  EXPECT_EQ(to_string(rows.scale.meta()), "f32[tokens, 3] cpu");
  const Value weight = builder.weight({"w"}, DType::kF8E4M3, {576, 344});
  const Value scale = builder.weight({"s"}, DType::kF32, {5, 3});
  EXPECT_EQ(to_string(linear_fp8(rows, weight, scale).meta()), "f32[tokens, 576] cpu");
  EXPECT_THROW(linear_fp8(rows, weight, builder.weight({"t"}, DType::kF32, {4, 3})), LoadError);
  EXPECT_THROW(linear_fp8(rows, builder.weight({"u"}, DType::kBF16, {576, 344}), scale), LoadError);
}

}  // namespace
}  // namespace musaic::testing
