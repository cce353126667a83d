#include "ops/latent_write/norm_latent_write.h"

#include <gtest/gtest.h>

#include "ops/op_list.h"
#include "ops/testing/run_op.h"
#include "ops/testing/test_device.h"

namespace musaic::testing {
namespace {

constexpr const char* kOp = "musaic::norm_latent_write";

TEST(NormLatentWrite, GivesWhatItsPartsGiveAndLeavesPadRowsAlone) {
  constexpr int kTokens = 6, kLive = 5, kHeads = 2, kSlots = 16;
  const OpRegistry registry = cpu_registry();
  if (!has_kernel_here(registry, kOp)) GTEST_SKIP() << "the tests' device has no kernel for it";
  struct Size {
    int rank, rotated, head_dim;
  };
  for (const auto& [rank, rotated, head_dim] : {Size{512, 64, 192}, Size{20, 6, 13}, Size{128, 64, 128}}) {
    for (DType cache : {DType::kBF16, DType::kF32}) {
      const auto rows = [&, kLive = kLive](int width, uint32_t seed) {
        TestTensor tensor = TestTensor::random(DType::kF32, {kTokens, width}, seed);
        tensor.poison_rows(kLive);
        return tensor;
      };
      const OpCase op_case{
          .op = kOp,
          .inputs = {rows(kHeads * head_dim, 1), rows(rank, 2), rows(rotated, 3), rows(rotated, 4),
                     TestTensor::ints({9, 0, 4, 15, 2, 3}, {kTokens}),
                     TestTensor::random(cache, {kSlots / 8, 1, 8, rank + rotated}, 5),
                     TestTensor::random(DType::kBF16, {rank}, 6)},
          .attributes = {{"head_dim", int64_t{head_dim}}, {"interleaved", true}, {"eps", 1e-6}},
          .live_rows = kLive};
      const OpRun run = check_op(registry, op_case), parts = run_decomposition(registry, op_case);
      const auto expect_near = [&](const std::vector<float>& got, const std::vector<float>& expected,
                                   double tolerance) {
        ASSERT_EQ(got.size(), expected.size());
        for (size_t i = 0; i < got.size(); ++i)
          ASSERT_NEAR(got[i], expected[i], tolerance) << "rank " << rank;
      };
      for (int row = 0; row < kLive; ++row)
        expect_near(run.inputs[0].row(row), parts.inputs[0].row(row), 1e-6);
      // The other order of the norm's sum may round to the next bf16 value.
      expect_near(run.inputs[5].to_floats(), parts.inputs[5].to_floats(),
                  cache == DType::kBF16 ? 2e-2 : 1e-5);
      EXPECT_TRUE(run.inputs[0].row_is_poisoned(kLive));
    }
  }
}

}  // namespace
}  // namespace musaic::testing
