#include "ops/mla_project/mla_project.h"

#include <gtest/gtest.h>

#include <cmath>

#include "ops/testing/run_op.h"

namespace musaic::testing {
namespace {

constexpr int kHeads = 3, kNope = 70, kRope = 6, kValue = 90, kRank = 200, kRows = 5, kLive = 4;
constexpr int kKvHead = kNope + kValue;

class MlaProject : public ::testing::TestWithParam<std::tuple<CpuIsa, DType>> {
 protected:
  MlaProject() {
    const bool is_fp8 = dtype() == DType::kF8E4M3;
    kv_b_ = TestTensor::random(dtype(), {kHeads * kKvHead, kRank}, 2, is_fp8 ? 400 : 1);
    if (is_fp8) scale_ = TestTensor::random(DType::kF32, {4, 2}, 3, 0.01f);
  }
  DType dtype() const { return std::get<1>(GetParam()); }

  std::vector<double> kv_row(int row) const {
    const std::vector<float> values = kv_b_.row(row);
    std::vector<double> out(values.begin(), values.end());
    for (size_t i = 0; scale_.defined() && i < out.size(); ++i) out[i] *= scale_.row(row / 128)[i / 128];
    return out;
  }
  OpRun check(const char* op, const TestTensor& rows) const {
    TestTensor input = rows;
    input.poison_rows(kLive);
    return check_op(registry_,
                    {.op = op,
                     .inputs = {input, kv_b_, scale_},
                     .attributes = {{"num_heads", int64_t{kHeads}}, {"v_head_dim", int64_t{kValue}}},
                     .live_rows = kLive,
                     .isa = std::get<0>(GetParam())});
  }

  const OpRegistry registry_ = cpu_registry();
  TestTensor kv_b_, scale_;
};

TEST_P(MlaProject, TheQueryMeetsTheLatentsThroughTheKeyRows) {
  const int head_dim = kNope + kRope, out_dim = kRank + kRope;
  const TestTensor query = TestTensor::random(DType::kF32, {kRows, kHeads * head_dim}, 1);
  const OpRun run = check("musaic::mla_absorb_query", query);
  for (int head = 0; head < kHeads; ++head) {
    std::vector<std::vector<double>> keys;
    for (int i = 0; i < kNope; ++i) keys.push_back(kv_row(head * kKvHead + i));
    for (int row = 0; row < kLive; ++row) {
      const std::vector<float> q = query.row(row), got = run.outputs[0].row(row);
      for (int c = 0; c < kRank; ++c) {
        double sum = 0;
        for (int i = 0; i < kNope; ++i) sum += q[head * head_dim + i] * keys[i][c];
        ASSERT_NEAR(got[head * out_dim + c], sum, 1e-4) << "row " << row << ", head " << head;
      }
      for (int i = 0; i < kRope; ++i)
        EXPECT_EQ(got[head * out_dim + kRank + i], q[head * head_dim + kNope + i])
            << "the rotated part stays";
    }
  }
}

TEST_P(MlaProject, WhatWasAttendedToBecomesValues) {
  const TestTensor attended = TestTensor::random(DType::kF32, {kRows, kHeads * kRank}, 1);
  const OpRun run = check("musaic::mla_expand_values", attended);
  for (int head = 0; head < kHeads; ++head) {
    for (int i = 0; i < kValue; ++i) {
      const std::vector<double> weights = kv_row(head * kKvHead + kNope + i);
      for (int row = 0; row < kLive; ++row) {
        const std::vector<float> latent = attended.row(row);
        double sum = 0;
        for (int c = 0; c < kRank; ++c) sum += latent[head * kRank + c] * weights[c];
        ASSERT_NEAR(run.outputs[0].row(row)[head * kValue + i], sum, 1e-4)
            << "row " << row << ", head " << head;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(IsasAndDtypes, MlaProject,
                         ::testing::Combine(::testing::ValuesIn(available_isas()),
                                            ::testing::Values(DType::kF32, DType::kBF16, DType::kF8E4M3)),
                         [](const auto& param) {
                           return std::string(name(std::get<0>(param.param))) + "_" +
                                  std::string(name(std::get<1>(param.param)));
                         });

}  // namespace
}  // namespace musaic::testing
