#include "ops/empty/empty.h"

#include <gtest/gtest.h>

#include "base/status.h"
#include "ops/testing/run_op.h"

namespace musaic::testing {
namespace {

TEST(EmptyRows, AreLeftAsTheyWere) {
  const OpRun run = check_op(cpu_registry(), {.op = "musaic::empty_rows",
                                              .inputs = {TestTensor::random(DType::kF32, {3, 7}, 1)},
                                              .attributes = {{"width", int64_t{4}}, {"dtype", "f8e4m3"}}});
  ASSERT_EQ(run.outputs[0].meta().shape, (DimShape{3, 4}));
  for (int row = 0; row < 3; ++row) EXPECT_TRUE(run.outputs[0].row_is_poisoned(row));
}

TEST(EmptyRows, AreLikeAnInputOfTheGraphThatHasAsMany) {
  const OpRegistry registry = cpu_registry();
  GraphBuilder builder(registry, "g", {});
  const Dim tokens = Dim::symbol("tokens");
  builder.input("other", DType::kI32, {Dim::symbol("sequences")});
  const Value ids = builder.input("token_ids", DType::kI32, {tokens});
  const Value table = builder.weight({"table"}, DType::kF32, {9, 16});
  const Value x = builder.call("aten::embedding", {table, ids})[0];
  const Value q = empty_rows_of(x, 16, DType::kF8E4M3);
  EXPECT_EQ(to_string(q.meta()), "f8e4m3[tokens, 16] cpu");
  EXPECT_EQ(builder.graph().nodes.back().inputs[0], ids.id());
}

TEST(EmptyRows, AWrongTypeOrWidthIsTold) {
  const OpRegistry registry = cpu_registry();
  GraphBuilder builder(registry, "g", {});
  const Value x = builder.input("x", DType::kF32, {Dim::symbol("tokens"), 4});
  EXPECT_THROW(empty_rows(x, 0, DType::kF32), LoadError);
  EXPECT_THROW(empty_rows(x, 32, DType::kQ8_0), LoadError);
}

}  // namespace
}  // namespace musaic::testing
