#include "ops/norm_quant_fp8/norm_quant_fp8.h"

#include <gtest/gtest.h>

#include "ops/testing/run_op.h"

namespace musaic::testing {
namespace {

class NormQuantFp8 : public ::testing::TestWithParam<CpuIsa> {};

INSTANTIATE_TEST_SUITE_P(Isas, NormQuantFp8, ::testing::ValuesIn(available_isas()),
                         [](const auto& isa) { return std::string(name(isa.param)); });

TEST_P(NormQuantFp8, HasTheBitsOfNormThenQuantizationAndLeavesPadRowsAlone) {
  constexpr int kRows = 6, kLive = 5;
  const OpRegistry registry = cpu_registry();
  for (DType weight : {DType::kF32, DType::kBF16}) {
    for (int width : {128, 150, 2048}) {
      OpCase op_case{.op = "musaic::add_rms_norm_quant_fp8",
                     .inputs = {TestTensor::random(DType::kF32, {kRows, width}, 1, 3),
                                TestTensor::random(DType::kF32, {kRows, width}, 2, 3),
                                TestTensor::random(weight, {width}, 3)},
                     .attributes = {{"eps", 1e-5}},
                     .live_rows = kLive,
                     .isa = GetParam()};
      for (size_t input : {0, 1}) op_case.inputs[input].poison_rows(kLive);
      const OpRun run = check_op(registry, op_case);
      const OpRun apart = run_decomposition(registry, op_case);
      for (int row = 0; row < kLive; ++row) {
        for (size_t i : {0, 1}) {
          EXPECT_EQ(run.outputs[i].row(row), apart.outputs[i].row(row)) << width;
          EXPECT_EQ(run.inputs[i].row(row), apart.inputs[i].row(row)) << width;
        }
      }
      EXPECT_TRUE(run.inputs[0].row_is_poisoned(kLive) && run.inputs[1].row_is_poisoned(kLive));
    }
  }
}

}  // namespace
}  // namespace musaic::testing
