#include "cli/machine_limits.h"

#include <gtest/gtest.h>

#include "cli/median.h"

namespace musaic {
namespace {

TEST(Median, IsTheMiddleOrTheMeanOfTheTwoInTheMiddle) {
  EXPECT_EQ(median({3.0}), 3.0);
  EXPECT_EQ(median({9.0, 1.0, 2.0}), 2.0);
  EXPECT_EQ(median({9.0, 1.0, 2.0, 4.0}), 3.0);
}

TEST(MachineLimits, AreMeasuredForTheInstructionSetsAskedFor) {
  Capabilities capabilities;
  capabilities.features = {"avx2"};
  const MachineLimits limits = measure_machine_limits(
      capabilities,
      {.num_threads = 2, .seconds_a_measurement = 0.01, .repetitions = 3, .read_bytes = 1 << 24});
  ASSERT_EQ(limits.int8_ops_per_second.size(), 1u);
  EXPECT_EQ(limits.int8_ops_per_second[0].first, "avx2");
  EXPECT_EQ(limits.best_int8_ops_per_second(), limits.int8_ops_per_second[0].second);
  // Far below what the slowest machine does and far above what any does: a unit gone wrong shows.
  EXPECT_GT(limits.read_bytes_per_second, 5e7);
  EXPECT_LT(limits.read_bytes_per_second, 1e13);
  EXPECT_GT(limits.float_ops_per_second, 1e8);
  EXPECT_LT(limits.float_ops_per_second, 1e13);
}

TEST(MachineLimits, BestIsTheFastestInstructionSet) {
  const MachineLimits limits{.int8_ops_per_second = {{"avx2", 2.0}, {"avx512", 5.0}, {"avx512_vnni", 3.0}}};
  EXPECT_EQ(limits.best_int8_ops_per_second(), 5.0);
}

}  // namespace
}  // namespace musaic
