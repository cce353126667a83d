#include "ops/kv_write/kv_write.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "base/status.h"
#include "ops/testing/run_op.h"
#include "ops/testing/test_device.h"
#include "tensor/half.h"

namespace musaic::testing {
namespace {

constexpr int kPages = 5, kKvHeads = 2, kPageSize = 8, kHeadDim = 24;
constexpr int kWidth = kKvHeads * kHeadDim;
const std::vector<int32_t> kSlots = {39, 0, 17, 8, 30};

float rounded(DType dtype, float value) {
  if (dtype == DType::kF16) return f16_to_float(float_to_f16(value));
  if (dtype == DType::kF8E4M3) return f8e4m3_to_float(float_to_f8e4m3(value));
  return dtype == DType::kBF16 ? bf16_to_float(float_to_bf16(value)) : value;
}

// Cache rows by (slot, head); every other row must be as before.
void expect_written(const TestTensor& before, const TestTensor& after, const TestTensor& rows, int live,
                    DType dtype) {
  std::vector<float> expected = before.to_floats();
  const std::vector<float> got = after.to_floats();
  for (int token = 0; token < live; ++token) {
    const std::vector<float> row = rows.row(token);
    const int slot = kSlots[static_cast<size_t>(token)];
    for (int head = 0; head < kKvHeads; ++head) {
      for (int k = 0; k < kHeadDim; ++k) {
        const int at = ((slot / kPageSize * kKvHeads + head) * kPageSize + slot % kPageSize) * kHeadDim + k;
        expected[static_cast<size_t>(at)] = rounded(dtype, row[static_cast<size_t>(head * kHeadDim + k)]);
      }
    }
  }
  for (size_t i = 0; i < got.size(); ++i) {
    if (std::isnan(expected[i]) && std::isnan(got[i])) continue;
    EXPECT_EQ(got[i], expected[i]) << "value " << i << " of the cache";
  }
}

class KvWrite : public ::testing::TestWithParam<std::tuple<CpuIsa, DType>> {
 protected:
  void SetUp() override {
    const bool is_host = test_device_type() == "cpu" || test_device_type() == "simulated";
    if (dtype() == DType::kF8E4M3 && !is_host) GTEST_SKIP() << "only the CPU has kernels for this cache";
  }
  CpuIsa isa() const { return std::get<0>(GetParam()); }
  DType dtype() const { return std::get<1>(GetParam()); }
  TestTensor cache(uint32_t seed) const {
    return TestTensor::random(dtype(), {kPages, kKvHeads, kPageSize, kHeadDim}, seed);
  }
  TestTensor slots(int live) const {
    TestTensor out = TestTensor::ints(kSlots);
    out.poison_rows(live);
    return out;
  }
  const OpRegistry registry_ = cpu_registry();
};

TEST_P(KvWrite, StoresEveryLiveRowAndNothingElse) {
  const int live = 4;
  OpCase op_case{.op = "musaic::kv_write",
                 .inputs = {TestTensor::random(DType::kF32, {5, kWidth}, 1, 3, 2 * kWidth),
                            TestTensor::random(DType::kF32, {5, kWidth}, 2, 3, 2 * kWidth), slots(live),
                            cache(3), cache(4)},
                 .attributes = {},
                 .live_rows = live,
                 .isa = isa()};
  for (size_t input : {0, 1}) op_case.inputs[input].poison_rows(live);
  const OpRun run = check_op(registry_, op_case);
  expect_written(op_case.inputs[3], run.inputs[3], op_case.inputs[0], live, dtype());
  expect_written(op_case.inputs[4], run.inputs[4], op_case.inputs[1], live, dtype());
}

TEST_P(KvWrite, FusedWithRopeHasTheBitsOfItsDecomposition) {
  const int live = 4, heads = 4;
  for (bool interleaved : {false, true}) {
    for (int rotated : {kHeadDim, 8}) {
      OpCase op_case{
          .op = "musaic::rope_kv_write",
          .inputs = {TestTensor::random(DType::kF32, {5, heads * kHeadDim}, 1),
                     TestTensor::random(DType::kF32, {5, kWidth}, 2),
                     TestTensor::random(DType::kF32, {5, kWidth}, 3),
                     TestTensor::random(DType::kF32, {5, rotated}, 4), slots(live), cache(5), cache(6)},
          .attributes = {{"head_dim", int64_t{kHeadDim}}, {"interleaved", interleaved}},
          .live_rows = live,
          .isa = isa()};
      for (size_t input : {0, 1, 2, 3}) op_case.inputs[input].poison_rows(live);
      const OpRun fused = check_op(registry_, op_case);
      const OpRun unfused = run_decomposition(registry_, op_case);
      for (size_t mutated : {0, 5, 6}) {
        EXPECT_TRUE(fused.inputs[mutated].same_bits(unfused.inputs[mutated])) << "input " << mutated;
        EXPECT_FALSE(fused.inputs[mutated].same_bits(op_case.inputs[mutated]));
      }
    }
  }
}

TEST_P(KvWrite, RefusesACacheOfOtherHeads) {
  EXPECT_THROW(run_op(registry_, {.op = "musaic::kv_write",
                                  .inputs = {TestTensor(DType::kF32, {5, kWidth + kHeadDim}),
                                             TestTensor(DType::kF32, {5, kWidth + kHeadDim}), slots(5),
                                             cache(3), cache(4)},
                                  .attributes = {}}),
               LoadError);
}

INSTANTIATE_TEST_SUITE_P(IsasAndDtypes, KvWrite,
                         ::testing::Combine(::testing::ValuesIn(available_isas()),
                                            ::testing::Values(DType::kF32, DType::kF16, DType::kBF16,
                                                              DType::kF8E4M3)),
                         [](const auto& param) {
                           return std::string(name(std::get<0>(param.param))) + "_" +
                                  std::string(name(std::get<1>(param.param)));
                         });

// Ties, subnormals, overflow and NaN of the narrow formats, through the vector conversions.
TEST_P(KvWrite, RoundsToNearestEvenAtTheEdgesOfTheFormat) {
  std::vector<float> edges = {
      1.00048828125f, 1.00146484375f, 65519.0f,       65520.0f,      6.1e-5f, 3e-8f,         1.00390625f,
      1.01171875f,    -0.0f,          3.39e38f,       -2.5e-7f,      1e-40f,  5.9604645e-8f, 8.9406967e-8f,
      448.3f,         -65535.0f,      0.1f,           1.0f / 3,      1.0625f, 1.1875f,       447.9f,
      -464.0f,        0.0009765625f,  0.00146484375f, 0.0146484375f, 0.0166f, std::nanf("")};
  while (edges.size() < kWidth) edges.push_back(edges[edges.size() % 26] * 1.0001f);
  const TestTensor row = TestTensor::floats(edges, {1, kWidth});
  const OpRun run = check_op(registry_, {.op = "musaic::kv_write",
                                         .inputs = {row, row, TestTensor::ints({39}), cache(3), cache(4)},
                                         .attributes = {},
                                         .isa = isa()});
  expect_written(cache(3), run.inputs[3], row, 1, dtype());
}

}  // namespace
}  // namespace musaic::testing
