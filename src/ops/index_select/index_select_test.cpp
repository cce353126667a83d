#include "ops/index_select/index_select.h"

#include <gtest/gtest.h>

#include "base/status.h"
#include "ops/testing/run_op.h"

namespace musaic::testing {
namespace {

TEST(IndexSelect, CopiesTheNamedRows) {
  const OpRegistry registry = cpu_registry();
  const TestTensor x = TestTensor::random(DType::kF32, {6, 33}, 1, 1, 40);
  const std::vector<int32_t> rows = {5, 0, 0, 2, 1};
  TestTensor row_numbers = TestTensor::ints(rows);
  row_numbers.poison_rows(4);
  const OpRun run = check_op(
      registry, {.op = "aten::index_select", .inputs = {x, row_numbers}, .attributes = {}, .live_rows = 4});
  for (int64_t i = 0; i < 4; ++i) EXPECT_EQ(run.outputs[0].row(i), x.row(rows[static_cast<size_t>(i)]));
}

TEST(IndexSelect, RefusesRowNumbersThatAreNotI32) {
  const OpRegistry registry = cpu_registry();
  EXPECT_THROW(run_op(registry, {.op = "aten::index_select",
                                 .inputs = {TestTensor(DType::kF32, {4, 8}), TestTensor(DType::kF32, {2})},
                                 .attributes = {}}),
               LoadError);
}

}  // namespace
}  // namespace musaic::testing
