#include "ops/add/add.h"

#include <gtest/gtest.h>

#include "base/status.h"
#include "ops/testing/run_op.h"

namespace musaic::testing {
namespace {

TEST(Add, AddsStridedRows) {
  const OpRegistry registry = cpu_registry();
  OpCase op_case{.op = "aten::add",
                 .inputs = {TestTensor::random(DType::kF32, {5, 37}, 1, 1, 50),
                            TestTensor::random(DType::kF32, {5, 37}, 2)},
                 .attributes = {},
                 .live_rows = 4};
  op_case.inputs[0].poison_rows(4);
  const OpRun run = check_op(registry, op_case);
  for (int row = 0; row < 4; ++row) {
    const auto x = op_case.inputs[0].row(row), y = op_case.inputs[1].row(row), sum = run.outputs[0].row(row);
    for (size_t k = 0; k < x.size(); ++k) EXPECT_EQ(sum[k], x[k] + y[k]);
  }
}

TEST(Add, RefusesUnequalShapes) {
  const OpRegistry registry = cpu_registry();
  EXPECT_THROW(run_op(registry, {.op = "aten::add",
                                 .inputs = {TestTensor(DType::kF32, {2, 8}), TestTensor(DType::kF32, {2, 9})},
                                 .attributes = {}}),
               LoadError);
}

}  // namespace
}  // namespace musaic::testing
