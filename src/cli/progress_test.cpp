#include "cli/progress.h"

#include <gtest/gtest.h>

namespace musaic {
namespace {

TEST(ProgressLine, TellsShareAmountAndSecondsLeft) {
  EXPECT_EQ(progress_line("loading weights", ProgressUnit::kBytes, 3'900'000'000, 15'600'000'000, 0.5),
            "loading weights [#######                       ]  25 %, 3.9 of 15.6 GB, 1.5 s left");
  EXPECT_EQ(progress_line("capturing", ProgressUnit::kItems, 72, 72, 0.4),
            "capturing [##############################] 100 %, 0.0 s left");
  EXPECT_EQ(progress_line("capturing", ProgressUnit::kItems, 0, 3, 0.0),
            "capturing [                              ]   0 %, 0.0 s left");
}

}  // namespace
}  // namespace musaic
