#include "cli/bench_report.h"

#include <gtest/gtest.h>

namespace musaic {
namespace {

TEST(BenchReport, AlignsRowsUnderTheirKeys) {
  const Json rows = {{{"stage", "load"}, {"ms", 12.3456}, {"n", 7}},
                     {{"stage", "first token"}, {"ms", 1234.5}, {"n", nullptr}}};
  EXPECT_EQ(format_table(rows),
            "stage          ms  n\n"
            "load         12.3  7\n"
            "first token  1234  -\n");
}

TEST(BenchReport, OfNoRowsIsEmpty) {
  EXPECT_EQ(format_table(Json::array()), "");
}

}  // namespace
}  // namespace musaic
