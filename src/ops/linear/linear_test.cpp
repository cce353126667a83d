#include "ops/linear/linear.h"

#include <gmock/gmock.h>

#include "base/status.h"
#include "ops/linear/linear_test_weights.h"
#include "ops/testing/run_op.h"

namespace musaic::testing {
namespace {

// Float32 sums of up to 2304 terms, in 8 or more chains: their error stays below 300 roundings of 2^-24, each
// of at most the sum of magnitudes.
constexpr double kTolerance = 300.0 / (1 << 24);

struct Size {
  int64_t rows, k, n;
};

void PrintTo(const Size& size, std::ostream* out) {
  *out << size.rows << " rows, k " << size.k << ", n " << size.n;
}

struct LinearCase {
  DType dtype;
  CpuIsa isa;
};

void PrintTo(const LinearCase& c, std::ostream* out) {
  *out << name(c.dtype) << " " << name(c.isa);
}

std::vector<LinearCase> all_cases() {
  std::vector<LinearCase> cases;
  for (DType dtype : {DType::kF32, DType::kF16, DType::kBF16, DType::kQ8_0, DType::kQ4_0, DType::kQ4_1,
                      DType::kQ5_0, DType::kQ5_1, DType::kQ4_K, DType::kQ5_K, DType::kQ6_K}) {
    for (CpuIsa isa : {CpuIsa::kAvx2, CpuIsa::kAvx512}) {
      if (isa <= detect_cpu_isa()) cases.push_back({dtype, isa});
    }
  }
  return cases;
}

class Linear : public ::testing::TestWithParam<LinearCase> {
 protected:
  // Sizes that every type can have; k at the chunk border of the sums and beyond it.
  std::vector<Size> sizes() const {
    const int64_t block = block_elements(GetParam().dtype);
    std::vector<Size> sizes = {{1, 256, 16},   {2, 512, 1},   {3, 256, 17},  {7, 768, 192},
                               {16, 1536, 17}, {33, 256, 40}, {4, 2304, 13}, {1, 2048, 7}};
    if (block <= 32) sizes.insert(sizes.end(), {{1, 32, 5}, {5, 64, 16}, {33, 576, 17}});
    if (block == 1) sizes.insert(sizes.end(), {{3, 1, 2}, {7, 100, 9}, {2, 2051, 4}});
    return sizes;
  }

  OpCase op_case(const TestTensor& x, const TestTensor& weight, const TestTensor& bias = {}) const {
    return {.op = "aten::linear", .inputs = {x, weight, bias}, .isa = GetParam().isa};
  }

  OpRegistry registry_ = cpu_registry();
};

INSTANTIATE_TEST_SUITE_P(Types, Linear, ::testing::ValuesIn(all_cases()));

TEST_P(Linear, IsTheSumOfProducts) {
  for (const Size& size : sizes()) {
    const TestTensor x = TestTensor::random(DType::kF32, {size.rows, size.k}, 1, 1, size.k + 3);
    const TestTensor weight = random_weight(GetParam().dtype, size.n, size.k, 2);
    const std::vector<float> values = weight_values(GetParam().dtype, weight);
    const OpRun run = check_op(registry_, op_case(x, weight));
    for (int64_t r = 0; r < size.rows; ++r) {
      const std::vector<float> row = x.row(r), got = run.outputs[0].row(r);
      for (int64_t n = 0; n < size.n; ++n) {
        Sum sum;
        for (int64_t i = 0; i < size.k; ++i) sum.add(static_cast<double>(row[i]) * values[n * size.k + i]);
        ASSERT_NEAR(got[n], sum.value, kTolerance * sum.magnitude) << ::testing::PrintToString(size);
      }
    }
  }
}

TEST_P(Linear, ARowDoesNotDependOnItsNeighbours) {
  for (const Size& size : sizes()) {
    const TestTensor x = TestTensor::random(DType::kF32, {size.rows, size.k}, 3);
    const TestTensor weight = random_weight(GetParam().dtype, size.n, size.k, 4);
    const OpRun all = run_op(registry_, op_case(x, weight));
    for (int64_t r : {int64_t{0}, size.rows / 2, size.rows - 1}) {
      const TestTensor row = TestTensor::floats(x.row(r), {1, size.k});
      EXPECT_EQ(run_op(registry_, op_case(row, weight)).outputs[0].row(0), all.outputs[0].row(r))
          << "row " << r << " of " << ::testing::PrintToString(size);
    }
  }
}

TEST_P(Linear, GapsBetweenRowsChangeNoBit) {
  for (const Size& size : sizes()) {
    const TestTensor weight = random_weight(GetParam().dtype, size.n, size.k, 4);
    const auto run = [&](int64_t stride) {
      const TestTensor x = TestTensor::random(DType::kF32, {size.rows, size.k}, 3, 1, stride);
      return run_op(registry_, op_case(x, weight)).outputs[0];
    };
    for (int64_t gap : {3, 8})
      EXPECT_TRUE(run(size.k + gap).same_bits(run(size.k))) << gap << ", " << ::testing::PrintToString(size);
  }
}

TEST_P(Linear, IsTheSameOnAnyNumberOfThreads) {
  for (const Size& size : {Size{1, 256, 200}, Size{70, 512, 33}}) {
    OpCase threaded = op_case(TestTensor::random(DType::kF32, {size.rows, size.k}, 3),
                              random_weight(GetParam().dtype, size.n, size.k, 4));
    const OpRun expected = run_op(registry_, threaded);
    for (int threads : {1, 3, 7}) {
      threaded.num_threads = threads;
      EXPECT_TRUE(run_op(registry_, threaded).outputs[0].same_bits(expected.outputs[0])) << threads;
    }
  }
}

TEST_P(Linear, PadRowsAreNeitherReadNorWritten) {
  const TestTensor weight = random_weight(GetParam().dtype, 17, 256, 5);
  const TestTensor x = TestTensor::random(DType::kF32, {8, 256}, 6);
  const OpRun all = run_op(registry_, op_case(x, weight));
  for (int32_t live : {0, 1, 5, 8}) {
    OpCase padded = op_case(x, weight);
    padded.inputs[0].poison_rows(live);
    padded.live_rows = live;
    const OpRun run = check_op(registry_, padded);
    for (int32_t r = 0; r < live; ++r) EXPECT_EQ(run.outputs[0].row(r), all.outputs[0].row(r));
  }
}

TEST_P(Linear, AddsTheBias) {
  const TestTensor weight = random_weight(GetParam().dtype, 17, 256, 7);
  const TestTensor x = TestTensor::random(DType::kF32, {5, 256}, 8);
  const OpRun plain = run_op(registry_, op_case(x, weight));
  for (DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    const TestTensor bias = TestTensor::random(dtype, {17}, 9);
    const std::vector<float> values = bias.to_floats();
    const OpRun biased = check_op(registry_, op_case(x, weight, bias));
    for (int64_t r = 0; r < 5; ++r) {
      for (int64_t n = 0; n < 17; ++n)
        EXPECT_EQ(biased.outputs[0].row(r)[n], plain.outputs[0].row(r)[n] + values[n]);
    }
  }
}

TEST(LinearFake, RefusesWrongArgumentsWithASentence) {
  const OpRegistry registry = cpu_registry();
  const TestTensor x = TestTensor::random(DType::kF32, {2, 64}, 1);
  const auto message = [&](std::vector<TestTensor> inputs) -> std::string {
    try {
      run_op(registry, {.op = "aten::linear", .inputs = std::move(inputs)});
    } catch (const LoadError& error) {
      return error.what();
    }
    return "accepted";
  };
  using ::testing::HasSubstr;
  EXPECT_THAT(message({x, TestTensor::random(DType::kF32, {3, 32}, 1)}),
              HasSubstr("aten::linear: weight is"));
  EXPECT_THAT(message({x, TestTensor(DType::kI32, {3, 64})}), HasSubstr("weight is"));
  EXPECT_THAT(
      message({TestTensor::random(DType::kF16, {2, 64}, 1), TestTensor::random(DType::kF32, {3, 64}, 1)}),
      HasSubstr("x is"));
  EXPECT_THAT(
      message({x, TestTensor::random(DType::kF32, {3, 64}, 1), TestTensor::random(DType::kF32, {4}, 1)}),
      HasSubstr("bias is"));
}

}  // namespace
}  // namespace musaic::testing
