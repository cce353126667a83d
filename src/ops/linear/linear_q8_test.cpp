#include <gmock/gmock.h>

#include "base/status.h"
#include "ops/linear/linear.h"
#include "ops/linear/linear_test_weights.h"
#include "ops/linear/q8_packing_cpu.h"
#include "ops/testing/run_op.h"

namespace musaic::testing {
namespace {

// Products are exact within a block; float32 sums over up to 72 blocks, 2 roundings each, of terms that an
// unsigned spelling of the weights makes up to 8 times larger.
constexpr double kTolerance = 8 * 160.0 / (1 << 24);

struct Size {
  int64_t rows, k, n;
};

void PrintTo(const Size& size, std::ostream* out) {
  *out << size.rows << " rows, k " << size.k << ", n " << size.n;
}

struct Q8Case {
  DType dtype;
  CpuIsa isa;
};

void PrintTo(const Q8Case& c, std::ostream* out) {
  *out << name(c.dtype) << " " << name(c.isa);
}

constexpr DType kQuantizedTypes[] = {DType::kQ8_0, DType::kQ4_0, DType::kQ4_1, DType::kQ5_0,
                                     DType::kQ5_1, DType::kQ4_K, DType::kQ5_K, DType::kQ6_K};

std::vector<Q8Case> all_cases() {
  std::vector<Q8Case> cases;
  for (DType dtype : kQuantizedTypes) {
    for (CpuIsa isa : {CpuIsa::kAvx2, CpuIsa::kAvx512, CpuIsa::kAvx512Vnni}) {
      if (isa <= detect_cpu_isa()) cases.push_back({dtype, isa});
    }
  }
  return cases;
}

class LinearQ8 : public ::testing::TestWithParam<Q8Case> {
 protected:
  std::vector<Size> sizes() const {
    std::vector<Size> sizes = {{1, 256, 16},   {2, 512, 1},   {3, 256, 17},
                               {7, 1536, 192}, {16, 768, 17}, {33, 2304, 40}};
    if (block_elements(GetParam().dtype) == 32)
      sizes.insert(sizes.end(), {{1, 32, 5}, {5, 64, 16}, {12, 576, 33}, {33, 576, 192}});
    return sizes;
  }

  // Rows as quantize_q8 gives them, here on the lowest instruction set.
  std::vector<TestTensor> quantized(const TestTensor& x) const {
    return run_op(registry_, {.op = "musaic::quantize_q8", .inputs = {x}, .isa = CpuIsa::kAvx2}).outputs;
  }

  OpCase op_case(std::vector<TestTensor> x, const TestTensor& weight, const TestTensor& bias = {}) const {
    x.push_back(weight);
    x.push_back(bias);
    return {.op = "musaic::linear_q8", .inputs = std::move(x), .isa = GetParam().isa};
  }

  OpRegistry registry_ = cpu_registry();
};

INSTANTIATE_TEST_SUITE_P(Types, LinearQ8, ::testing::ValuesIn(all_cases()));

TEST_P(LinearQ8, TakesTheKernelOfTheInstructionSet) {
  const auto x = quantized(TestTensor::random(DType::kF32, {1, 256}, 1));
  const CpuIsa level = GetParam().isa;
  const std::string isa = level == CpuIsa::kAvx2 ? "avx2" : level == CpuIsa::kAvx512 ? "avx512" : "vnni";
  EXPECT_EQ(run_op(registry_, op_case(x, random_weight(GetParam().dtype, 16, 256, 2))).kernel,
            "linear_q8_" + std::string(name(GetParam().dtype)) + "_" + isa);
}

TEST_P(LinearQ8, IsTheSumOfProductsOfTheQuantizedRows) {
  for (const Size& size : sizes()) {
    const auto x = quantized(TestTensor::random(DType::kF32, {size.rows, size.k}, 1));
    const TestTensor weight = random_weight(GetParam().dtype, size.n, size.k, 2);
    const std::vector<float> values = weight_values(GetParam().dtype, weight);
    const OpRun run = check_op(registry_, op_case(x, weight));
    for (int64_t r = 0; r < size.rows; ++r) {
      const std::vector<float> q = x[0].row(r), scale = x[1].row(r), got = run.outputs[0].row(r);
      for (int64_t n = 0; n < size.n; ++n) {
        Sum sum;
        for (int64_t i = 0; i < size.k; ++i)
          sum.add(static_cast<double>(scale[i / 32]) * q[i] * values[n * size.k + i]);
        ASSERT_NEAR(got[n], sum.value, kTolerance * sum.magnitude) << ::testing::PrintToString(size);
      }
    }
  }
}

TEST_P(LinearQ8, ExtremeQuantsDoNotOverflow) {
  for (int quant : {0x00, 0xFF, 0x80, 0x7F}) {
    std::vector<std::byte> bytes(byte_size(GetParam().dtype, 16 * 256), static_cast<std::byte>(quant));
    const size_t block_bytes = dtype_info(GetParam().dtype).block_bytes;
    for (size_t at = 0; at < bytes.size(); at += block_bytes) {
      put_f16(bytes.data() + at + scale_offset(GetParam().dtype), 1);
      if (has_min(GetParam().dtype)) put_f16(bytes.data() + at + scale_offset(GetParam().dtype) + 2, 1);
    }
    const TestTensor weight = TestTensor::raw(GetParam().dtype, {16, 256}, bytes);
    const std::vector<float> values = weight_values(GetParam().dtype, weight);
    for (float sign : {-1.0f, 1.0f}) {
      const auto x = quantized(TestTensor::floats(std::vector<float>(256, sign * 127), {1, 256}));
      double expected = 0;
      for (int i = 0; i < 256; ++i) expected += values[i] * sign * 127;
      EXPECT_NEAR(run_op(registry_, op_case(x, weight)).outputs[0].row(0)[0], expected,
                  1e-5 * std::abs(expected) + 16);
    }
  }
}

TEST_P(LinearQ8, ARowDoesNotDependOnItsNeighbours) {
  for (const Size& size : sizes()) {
    const TestTensor x = TestTensor::random(DType::kF32, {size.rows, size.k}, 3);
    const TestTensor weight = random_weight(GetParam().dtype, size.n, size.k, 4);
    const OpRun all = run_op(registry_, op_case(quantized(x), weight));
    for (int64_t r : {int64_t{0}, size.rows / 2, size.rows - 1}) {
      const TestTensor row = TestTensor::floats(x.row(r), {1, size.k});
      EXPECT_EQ(run_op(registry_, op_case(quantized(row), weight)).outputs[0].row(0), all.outputs[0].row(r))
          << "row " << r << " of " << ::testing::PrintToString(size);
    }
  }
}

TEST_P(LinearQ8, IsTheSameOnAnyNumberOfThreads) {
  for (const Size& size : {Size{1, 256, 200}, Size{40, 512, 33}}) {
    const auto x = quantized(TestTensor::random(DType::kF32, {size.rows, size.k}, 3));
    OpCase threaded = op_case(x, random_weight(GetParam().dtype, size.n, size.k, 4));
    const OpRun expected = run_op(registry_, threaded);
    for (int threads : {1, 3, 7}) {
      threaded.num_threads = threads;
      EXPECT_TRUE(run_op(registry_, threaded).outputs[0].same_bits(expected.outputs[0])) << threads;
    }
  }
}

TEST_P(LinearQ8, PadRowsAreNeitherReadNorWritten) {
  const TestTensor weight = random_weight(GetParam().dtype, 17, 256, 5);
  const auto x = quantized(TestTensor::random(DType::kF32, {12, 256}, 6));
  const OpRun all = run_op(registry_, op_case(x, weight));
  for (int32_t live : {0, 1, 5, 9, 12}) {
    OpCase padded = op_case(x, weight);
    for (int input : {0, 1, 2}) padded.inputs[input].poison_rows(live);
    padded.live_rows = live;
    const OpRun run = check_op(registry_, padded);
    for (int32_t r = 0; r < live; ++r) EXPECT_EQ(run.outputs[0].row(r), all.outputs[0].row(r));
  }
}

TEST_P(LinearQ8, AddsTheBias) {
  const TestTensor weight = random_weight(GetParam().dtype, 17, 256, 7);
  const auto x = quantized(TestTensor::random(DType::kF32, {5, 256}, 8));
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

TEST(Q8Packing, MergedWeightsPackAsTheirStackedRows) {
  for (DType dtype : kQuantizedTypes) {
    const TestTensor weight = random_weight(dtype, 40, 512, 10);
    const size_t row_bytes = byte_size(dtype, 512);
    const WeightRows whole{dtype, 40, 512, {{40, weight.data()}}};
    const WeightRows merged{
        dtype,
        40,
        512,
        {{24, weight.data()}, {9, weight.data() + 24 * row_bytes}, {7, weight.data() + 33 * row_bytes}}};
    const WeightPacking packing = q8_packing(dtype);
    std::vector<std::byte> first(packing.bytes(40, 512)), second(first.size(), std::byte{0xFF});
    packing.pack(whole, 0, 40, first.data());
    packing.pack(merged, 16, 40, second.data());
    packing.pack(merged, 0, 16, second.data());
    EXPECT_EQ(first, second) << name(dtype);
  }
}

TEST(LinearQ8Fake, RefusesAWeightThatIsNotQuantized) {
  const OpRegistry registry = cpu_registry();
  const OpRun x = run_op(
      registry, {.op = "musaic::quantize_q8", .inputs = {TestTensor::random(DType::kF32, {2, 64}, 1)}});
  std::vector<TestTensor> inputs = x.outputs;
  inputs.push_back(TestTensor::random(DType::kF32, {3, 64}, 1));
  EXPECT_THROW(run_op(registry, {.op = "musaic::linear_q8", .inputs = inputs}), LoadError);
}

}  // namespace
}  // namespace musaic::testing
