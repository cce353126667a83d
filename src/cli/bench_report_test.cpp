#include "cli/bench_report.h"

#include <gtest/gtest.h>

namespace musaic {
namespace {

TEST(BenchReport, AlignsTextToTheLeftAndNumbersToTheRight) {
  const Json rows = {{{"stage", "load"}, {"ms", 12.3456}, {"n", 7}, {"note", "warm"}},
                     {{"stage", "first token"}, {"ms", 1234.5}, {"n", nullptr}, {"note", ""}}};
  EXPECT_EQ(format_table(rows),
            "stage          ms  n  note\n"
            "load         12.3  7  warm\n"
            "first token  1234  -\n");
}

TEST(BenchReport, OfNoRowsIsEmpty) {
  EXPECT_EQ(format_table(Json::array()), "");
}

}  // namespace
}  // namespace musaic
