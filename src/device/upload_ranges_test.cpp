#include "device/upload_ranges.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace musaic {

bool operator==(const UploadRange& a, const UploadRange& b) {
  return a.first == b.first && a.bytes == b.bytes;
}

namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<UploadRange> joined(const std::vector<UploadRange>& ranges) {
  return joined_ranges(ranges);
}

TEST(UploadRanges, NeighboursAreOneCopyWithWhatLiesBetweenThem) {
  EXPECT_THAT(joined({{64, 4}, {128, 12}}), ElementsAre(UploadRange{64, 76}));
  EXPECT_THAT(joined({{0, 4}, {4 + kMostBetween, 8}}), ElementsAre(UploadRange{0, 12 + kMostBetween}));
}

TEST(UploadRanges, WhatLiesFarApartIsNot) {
  EXPECT_THAT(joined({{0, 4}, {5 + kMostBetween, 8}}),
              ElementsAre(UploadRange{0, 4}, UploadRange{5 + kMostBetween, 8}));
}

TEST(UploadRanges, TheyMayComeInAnyOrderAndLieInOneAnother) {
  EXPECT_THAT(joined({{1 << 20, 8}, {400, 100}, {0, 1000}}),
              ElementsAre(UploadRange{0, 1000}, UploadRange{1 << 20, 8}));
}

TEST(UploadRanges, NothingIsNoCopy) {
  EXPECT_THAT(joined({}), IsEmpty());
}

}  // namespace
}  // namespace musaic
