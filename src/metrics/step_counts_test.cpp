#include "metrics/step_counts.h"

#include <gtest/gtest.h>

namespace musaic {
namespace {

TEST(StepCounts, SumsStepsOfTheSameKindModeBucketAndReason) {
  StepCounts counts;
  counts.add({StepKind::kDecode, true, 3, 4, "bucket", 0.5});
  counts.add({StepKind::kDecode, true, 4, 4, "bucket", 0.25});
  counts.add({StepKind::kDecode, false, 4, 4, "disabled", 1.0});
  counts.add({StepKind::kExtend, true, 60, 64, "bucket", 2.0});
  const std::vector<StepCount> list = counts.list();
  ASSERT_EQ(list.size(), 3u);
  EXPECT_EQ(list[0].record.kind, StepKind::kExtend);
  EXPECT_EQ(list[0].pad_rows, 4u);
  EXPECT_EQ(list[1].record.reason, "disabled");
  EXPECT_EQ(list[2].steps, 2u);
  EXPECT_EQ(list[2].pad_rows, 1u);
  EXPECT_EQ(list[2].record.tokens, 7);
  EXPECT_DOUBLE_EQ(list[2].record.seconds, 0.75);
}

}  // namespace
}  // namespace musaic
