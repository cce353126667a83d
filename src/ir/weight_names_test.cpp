#include "ir/weight_names.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace musaic {
namespace {

using testing::ElementsAre;

void expect_round_trip(const std::vector<std::string>& parts, const std::string& name) {
  EXPECT_EQ(name_of_weight(parts), name);
  EXPECT_EQ(parts_of_weight(name), parts);
}

TEST(WeightNames, PartsAreJoined) {
  expect_round_trip({"norm"}, "norm");
  expect_round_trip({"q", "k", "v"}, "q+k+v");
}

TEST(WeightNames, PartsThatGoThroughNumbersAreNamedOnce) {
  std::vector<std::string> experts, projections;
  for (int i = 0; i < 12; ++i) {
    const std::string expert = "layers.10.experts." + std::to_string(i);
    experts.push_back(expert + ".down");
    projections.push_back(expert + ".gate");
    projections.push_back(expert + ".up");
  }
  expect_round_trip(experts, "layers.10.experts.[0-11].down");
  expect_round_trip(projections, "layers.10.experts.[0-11].gate+layers.10.experts.[0-11].up");
  expect_round_trip({"a.9.b", "a.10.b"}, "a.[9-10].b");
}

TEST(WeightNames, OtherNumbersStayAsTheyAre) {
  expect_round_trip({"a.0", "a.2"}, "a.0+a.2");
  expect_round_trip({"a.1", "a.0"}, "a.1+a.0");
  expect_round_trip({"a.00", "a.01"}, "a.00+a.01");
  expect_round_trip({"a.0", "a.1", "b"}, "a.0+a.1+b");
  expect_round_trip({"a.0", "b.0", "a.1", "b.2"}, "a.0+b.0+a.1+b.2");
}

TEST(WeightNames, WhatIsNoRangeIsAName) {
  EXPECT_THAT(parts_of_weight("a[1]"), ElementsAre("a[1]"));
  EXPECT_THAT(parts_of_weight("a[3-1]"), ElementsAre("a[3-1]"));
  EXPECT_THAT(parts_of_weight("a[0-99999999]"), ElementsAre("a[0-99999999]"));
  EXPECT_THAT(parts_of_weight("a[0-1]+b[0-2]"), ElementsAre("a[0-1]", "b[0-2]"));
}

}  // namespace
}  // namespace musaic
