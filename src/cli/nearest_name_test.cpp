#include "cli/nearest_name.h"

#include <gtest/gtest.h>

#include <vector>

namespace musaic {
namespace {

const std::vector<std::string>& flags() {
  static const std::vector<std::string> names = {"--model-path", "--max-total-tokens", "--port"};
  return names;
}

TEST(NearestName, IsTheOneWithTheFewestEdits) {
  EXPECT_EQ(nearest_name("--model-pth", flags()), "--model-path");
  EXPECT_EQ(nearest_name("--max-total-token", flags()), "--max-total-tokens");
  EXPECT_EQ(nearest_name("--prot", flags()), "--port");
}

TEST(NearestName, IsEmptyWhenNothingIsNear) {
  EXPECT_EQ(nearest_name("--xyzzy-frobnicate", flags()), "");
}

}  // namespace
}  // namespace musaic
