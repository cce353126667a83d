#include "ops/grouped_swiglu/grouped_swiglu.h"

#include <gtest/gtest.h>

#include "ops/testing/run_op.h"

namespace musaic::testing {
namespace {

constexpr int kRows = 9, kWidth = 192;
// Rows 2, 3 and 8 belong to nobody.
const std::vector<int32_t> kStart = {0, 4, 4}, kCount = {2, 0, 4};
bool has_expert(int row) {
  return row < 2 || (row >= 4 && row < 8);
}

class GroupedSwiglu : public ::testing::TestWithParam<CpuIsa> {
 protected:
  GroupedSwiglu() {
    for (int row = 0; row < kRows; ++row) {
      if (has_expert(row)) continue;
      float* values = x_.tensor().as<float>() + row * 2 * kWidth;
      std::fill(values, values + 2 * kWidth, std::nanf(""));
    }
  }
  OpRun check(const char* op) const {
    return check_op(registry_, {.op = op,
                                .inputs = {x_, TestTensor::ints(kStart), TestTensor::ints(kCount)},
                                .attributes = {},
                                .isa = GetParam()});
  }
  const OpRegistry registry_ = cpu_registry();
  TestTensor x_ = TestTensor::random(DType::kF32, {kRows, 2 * kWidth}, 3, 5);
};

INSTANTIATE_TEST_SUITE_P(Isas, GroupedSwiglu, ::testing::ValuesIn(available_isas()),
                         [](const auto& isa) { return std::string(name(isa.param)); });

TEST_P(GroupedSwiglu, HasTheBitsOfSwigluInRowsOfExpertsOnly) {
  const OpRun run = check("musaic::grouped_swiglu");
  const OpRun all = run_op(
      registry_, {.op = "aten::_fused_swiglu_forward", .inputs = {x_}, .attributes = {}, .isa = GetParam()});
  for (int row = 0; row < kRows; ++row) {
    if (has_expert(row)) {
      EXPECT_EQ(run.outputs[0].row(row), all.outputs[0].row(row)) << row;
    } else {
      EXPECT_TRUE(run.outputs[0].row_is_poisoned(row)) << row;
    }
  }
}

TEST_P(GroupedSwiglu, QuantizesAsThePerTokenGroupQuantizationDoes) {
  const OpRun run = check("musaic::grouped_swiglu_quant_fp8");
  for (int row = 0; row < kRows; ++row) {
    if (!has_expert(row)) {
      EXPECT_TRUE(run.outputs[0].row_is_poisoned(row) && run.outputs[1].row_is_poisoned(row)) << row;
      continue;
    }
    const OpRun quant = run_op(registry_, {.op = "sgl_kernel::sgl_per_token_group_quant_8bit_v2",
                                           .inputs = {TestTensor::floats(x_.row(row), {1, 2 * kWidth}),
                                                      TestTensor(DType::kF8E4M3, {1, kWidth}),
                                                      TestTensor(DType::kF32, {1, 2}),
                                                      {}},
                                           .attributes = {{"group_size", int64_t{128}},
                                                          {"eps", 1e-10},
                                                          {"fp8_min", -448.0},
                                                          {"fp8_max", 448.0},
                                                          {"scale_ue8m0", false},
                                                          {"fuse_silu_and_mul", true}},
                                           .isa = GetParam()});
    EXPECT_EQ(run.outputs[0].row(row), quant.inputs[1].row(0)) << row;
    EXPECT_EQ(run.outputs[1].row(row), quant.inputs[2].row(0)) << row;
  }
}

}  // namespace
}  // namespace musaic::testing
