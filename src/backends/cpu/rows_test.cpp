#include "backends/cpu/rows.h"

#include <gtest/gtest.h>

namespace musaic {
namespace {

TEST(GuidedRange, CoversEveryIndexOnceInOrderAndThenEnds) {
  for (int64_t workers : {1, 2, 3, 16}) {
    for (int64_t count : {0, 1, 2, 15, 60, 192, 3072}) {
      int64_t covered = 0, task = 0;
      for (;; ++task) {
        const IndexRange range = guided_range(task, count, workers);
        if (range.begin >= range.end) break;
        ASSERT_EQ(range.begin, covered);
        covered = range.end;
      }
      EXPECT_EQ(covered, count);
      for (int64_t later = task; later < task + 3 * workers; ++later) {
        const IndexRange range = guided_range(later, count, workers);
        EXPECT_GE(range.begin, range.end) << later;
      }
    }
  }
}

TEST(GuidedRange, BeginsWithLongRangesAndEndsWithShortOnes) {
  const IndexRange first = guided_range(0, 1000, 4);
  EXPECT_EQ(first.end - first.begin, 187);  // three quarters of a fair share
  const IndexRange last = guided_range(20, 1000, 4);
  EXPECT_LE(last.end - last.begin, 1);
}

TEST(ShareOf, SplitsEvenly) {
  int64_t covered = 0;
  for (int index = 0; index < 3; ++index) {
    const IndexRange range = share_of({.index = index, .count = 3}, 10);
    EXPECT_EQ(range.begin, covered);
    covered = range.end;
  }
  EXPECT_EQ(covered, 10);
}

TEST(LiveCount, IsTheRowsWithoutACountAndNeverMore) {
  const int32_t live = 5;
  EXPECT_EQ(live_count(nullptr, 8), 8);
  EXPECT_EQ(live_count(&live, 8), 5);
  EXPECT_EQ(live_count(&live, 3), 3);
}

}  // namespace
}  // namespace musaic
