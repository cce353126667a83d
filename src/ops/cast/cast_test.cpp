#include "ops/cast/cast.h"

#include <gtest/gtest.h>

#include "base/status.h"
#include "ops/testing/run_op.h"

namespace musaic::testing {
namespace {

OpCase cast_case(const TestTensor& x, const std::string& dtype) {
  return {.op = "musaic::cast", .inputs = {x}, .attributes = {{"dtype", dtype}}};
}

TEST(Cast, RoundsToNearestEven) {
  const OpRegistry registry = cpu_registry();
  // bf16 keeps 7 fraction bits: 1 + 2^-8 is halfway between 1 and 1 + 2^-7, 1 + 3 · 2^-8 between odd and
  // even.
  const std::vector<float> x = {1.00390625f, 1.01171875f, 1.004f, -1.00390625f, 0.0f, 0.5f};
  const OpRun run = check_op(registry, cast_case(TestTensor::floats(x, {2, 3}), "bf16"));
  EXPECT_EQ(run.outputs[0].row(0), (std::vector<float>{1.0f, 1.015625f, 1.0078125f}));
  EXPECT_EQ(run.outputs[0].row(1), (std::vector<float>{-1.0f, 0.0f, 0.5f}));
}

TEST(Cast, WideningIsExactAndNarrowingGivesItBack) {
  const OpRegistry registry = cpu_registry();
  for (DType dtype : {DType::kF16, DType::kBF16}) {
    OpCase widen = cast_case(TestTensor::random(dtype, {5, 37}, 1, 9, 50), "f32");
    widen.live_rows = 4;
    widen.inputs[0].poison_rows(4);
    const OpRun wide = check_op(registry, widen);
    for (int row = 0; row < 4; ++row) EXPECT_EQ(wide.outputs[0].row(row), widen.inputs[0].row(row));
    const TestTensor floats = TestTensor::random(DType::kF32, {3, 2, 16}, 2);
    const OpRun narrow = check_op(registry, cast_case(floats, std::string(name(dtype))));
    EXPECT_TRUE(narrow.outputs[0].same_bits(TestTensor::random(dtype, {3, 2, 16}, 2)));
  }
}

TEST(Cast, RefusesAnIntegerType) {
  EXPECT_THROW(run_op(cpu_registry(), cast_case(TestTensor(DType::kF32, {2, 3}), "i32")), LoadError);
}

}  // namespace
}  // namespace musaic::testing
