#include "ops/latent_write/latent_write.h"

#include <gtest/gtest.h>

#include "base/status.h"
#include "ops/testing/run_op.h"
#include "tensor/half.h"

namespace musaic::testing {
namespace {

constexpr int kRank = 20, kRotated = 6, kHeadDim = 13, kHeads = 3, kPages = 4, kPageSize = 8;
const std::vector<int32_t> kSlots = {31, 0, 17, 8, 30};

float rounded(DType dtype, float value) {
  if (dtype == DType::kF16) return f16_to_float(float_to_f16(value));
  return dtype == DType::kBF16 ? bf16_to_float(float_to_bf16(value)) : value;
}

// x with its pairs turned; cos_sin as rope_cos_sin gives it.
std::vector<float> rotate(const std::vector<float>& x, const std::vector<float>& cos_sin, bool interleaved) {
  std::vector<float> out = x;
  const size_t pairs = x.size() / 2;
  for (size_t i = 0; i < pairs; ++i) {
    const size_t a = interleaved ? 2 * i : i, b = interleaved ? 2 * i + 1 : i + pairs;
    out[a] = x[a] * cos_sin[i] - x[b] * cos_sin[pairs + i];
    out[b] = x[b] * cos_sin[i] + x[a] * cos_sin[pairs + i];
  }
  return out;
}

class LatentWrite : public ::testing::TestWithParam<std::tuple<CpuIsa, DType>> {};

TEST_P(LatentWrite, RotatesTheEndOfEachHeadAndStoresEveryLiveRow) {
  const auto [isa, dtype] = GetParam();
  const int live = 4;
  for (bool interleaved : {true, false}) {
    const TestTensor cache = TestTensor::random(dtype, {kPages, 1, kPageSize, kRank + kRotated}, 5);
    OpCase op_case{
        .op = "musaic::rope_latent_write",
        .inputs = {TestTensor::random(DType::kF32, {5, kHeads * kHeadDim}, 1, 2, 50),
                   TestTensor::random(DType::kF32, {5, kRank}, 2, 2, 40),
                   TestTensor::random(DType::kF32, {5, kRotated}, 3, 2, 40),
                   TestTensor::random(DType::kF32, {5, kRotated}, 4), TestTensor::ints(kSlots), cache},
        .attributes = {{"head_dim", int64_t{kHeadDim}}, {"interleaved", interleaved}},
        .live_rows = live,
        .isa = isa};
    for (size_t input : {0, 1, 2, 3, 4}) op_case.inputs[input].poison_rows(live);
    const OpRun run = check_op(cpu_registry(), op_case);
    std::vector<float> stored = cache.to_floats();
    for (int token = 0; token < live; ++token) {
      const std::vector<float> cos_sin = op_case.inputs[3].row(token);
      const std::vector<float> key = rotate(op_case.inputs[2].row(token), cos_sin, interleaved);
      std::vector<float> row = op_case.inputs[1].row(token);
      row.insert(row.end(), key.begin(), key.end());
      for (size_t i = 0; i < row.size(); ++i)
        stored[static_cast<size_t>(kSlots[static_cast<size_t>(token)]) * row.size() + i] =
            rounded(dtype, row[i]);

      const std::vector<float> query = op_case.inputs[0].row(token), got = run.inputs[0].row(token);
      for (int head = 0; head < kHeads; ++head) {
        const auto end = (head + 1) * kHeadDim;
        const auto begin = end - kRotated;
        const std::vector<float> turned =
            rotate({query.begin() + begin, query.begin() + end}, cos_sin, interleaved);
        for (int i = head * kHeadDim; i < begin; ++i) EXPECT_EQ(got[i], query[i]) << "unrotated value " << i;
        for (int i = 0; i < kRotated; ++i) EXPECT_NEAR(got[begin + i], turned[i], 1e-6) << "value " << i;
      }
    }
    const std::vector<float> after = run.inputs[5].to_floats();
    const double tolerance = dtype == DType::kF32   ? 1e-6
                             : dtype == DType::kF16 ? 2e-3
                                                    : 1.6e-2;  // of |x| ≤ 4: one step
    for (size_t i = 0; i < after.size(); ++i) EXPECT_NEAR(after[i], stored[i], tolerance) << "value " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(IsasAndDtypes, LatentWrite,
                         ::testing::Combine(::testing::ValuesIn(available_isas()),
                                            ::testing::Values(DType::kF32, DType::kF16, DType::kBF16)),
                         [](const auto& param) {
                           return std::string(name(std::get<0>(param.param))) + "_" +
                                  std::string(name(std::get<1>(param.param)));
                         });

TEST(LatentWriteFake, ACacheOfAnotherWidthIsRefused) {
  const OpRegistry registry = cpu_registry();
  GraphBuilder builder(registry, "g", {});
  const Dim tokens = Dim::symbol("tokens");
  const auto rows = [&](const char* name, int64_t width) {
    return builder.input(name, DType::kF32, {tokens, width});
  };
  RopeLatentWriteArguments arguments{
      .query = rows("query", 64),
      .latent = rows("latent", 24),
      .rope_key = rows("rope_key", 8),
      .cos_sin = rows("cos_sin", 8),
      .slots = builder.input("slots", DType::kI32, {tokens}),
      .cache = builder.state("cache", DType::kF16, {Dim::symbol("pages"), 1, 8, 40}),
      .head_dim = 16};
  EXPECT_THROW(rope_latent_write(arguments), LoadError);
  arguments.cache = builder.state("right", DType::kF16, {Dim::symbol("pages"), 1, 8, 32});
  EXPECT_EQ(builder.graph().values[rope_latent_write(arguments).second.id()].storage, arguments.cache.id());
}

}  // namespace
}  // namespace musaic::testing
