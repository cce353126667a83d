#include "cli/step_cost.h"

#include <gtest/gtest.h>

#include "ir/builder.h"
#include "ops/linear/linear.h"
#include "ops/op_list.h"
#include "ops/quantize/quantize.h"

namespace musaic {
namespace {

TEST(StepCost, CountsTheWeightsAndMultiplyAddsOfMatrixProductsByTheirKind) {
  OpRegistry registry;
  define_ops(registry);
  GraphBuilder builder(registry, "extend", {});
  const Value x = builder.input("x", DType::kF32, {Dim::symbol("tokens"), 64});
  const Value h = linear(x, builder.weight({"up"}, DType::kF32, {32, 64}));
  const Value y = linear_q8(quantize_q8(h), builder.weight({"down"}, DType::kQ8_0, {64, 32}));
  builder.output("y", y);

  const StepCost cost = cost_of_products(builder.graph(), 10);
  EXPECT_EQ(cost.float_ops, 2.0 * 32 * 64 * 10);
  EXPECT_EQ(cost.int8_ops, 2.0 * 64 * 32 * 10);
  EXPECT_EQ(cost.bytes, 32 * 64 * 4 + 64 * 34);  // Q8_0: 34 bytes for 32 values
}

TEST(StepCost, LeastTimeIsThatOfTheSlowerOfReadingAndComputing) {
  const MachineLimits limits{.read_bytes_per_second = 10.0,
                             .float_ops_per_second = 100.0,
                             .int8_ops_per_second = {{"avx2", 1000.0}}};
  EXPECT_EQ(least_seconds({.bytes = 20.0, .int8_ops = 500.0, .float_ops = 100.0}, limits), 2.0);
  EXPECT_EQ(least_seconds({.bytes = 20.0, .int8_ops = 2000.0, .float_ops = 300.0}, limits), 5.0);
}

}  // namespace
}  // namespace musaic
