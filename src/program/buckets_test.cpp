#include "program/buckets.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace musaic {
namespace {

TEST(Buckets, ExtendStepsGrowWithTheSize) {
  const auto buckets = extend_buckets(4096);
  EXPECT_EQ(std::vector<int>(buckets.begin(), buckets.begin() + 10),
            (std::vector<int>{4, 8, 12, 16, 20, 24, 28, 32, 48, 64}));
  for (int wanted : {256, 288, 512, 576, 1024, 1280, 4096}) EXPECT_EQ(bucket_for(buckets, wanted), wanted);
  EXPECT_EQ(bucket_for(buckets, 33), 48);
  EXPECT_EQ(bucket_for(buckets, 1025), 1280);
}

TEST(Buckets, ExtendIsClippedToTheLargestStep) {
  EXPECT_EQ(extend_buckets(50), (std::vector<int>{4, 8, 12, 16, 20, 24, 28, 32, 48, 50}));
  EXPECT_EQ(extend_buckets(2), (std::vector<int>{2}));
  EXPECT_EQ(extend_buckets(2048).size(), 42u);
}

TEST(Buckets, DecodeSizesAreTheAskedOnesWithinTheLimit) {
  const std::vector<int> asked = {3, 1, 2, 2, 40};
  EXPECT_EQ(decode_buckets(asked, 64, 16), (std::vector<int>{1, 2, 3}));
  EXPECT_EQ(decode_buckets({}, 32, 64), (std::vector<int>{1, 2, 4, 8, 12, 16, 24, 32}));
}

TEST(Buckets, TheFirstOnesCapturedHoldEveryStepInLessThanTwiceItsSize) {
  EXPECT_EQ(capture_order(std::vector<int>{1, 2, 4, 8, 12, 16}), (std::vector<int>{16, 8, 4, 2, 1, 12}));
  const auto buckets = extend_buckets(512);
  const auto order = capture_order(buckets);
  EXPECT_EQ(order.size(), buckets.size());
  EXPECT_EQ(order.front(), 512);
  std::vector<int> chain = {order.front()};
  for (size_t i = 1; order[i] * 2 <= chain.back(); ++i) chain.push_back(order[i]);
  std::sort(chain.begin(), chain.end());
  EXPECT_LE(chain.size(), 8u);
  for (int tokens = chain.front(); tokens <= 512; ++tokens) {
    EXPECT_LE(bucket_for(chain, tokens), 2 * bucket_for(buckets, tokens)) << tokens;
  }
}

TEST(Buckets, NoBucketHoldsMoreThanTheLargest) {
  const std::vector<int> buckets = {1, 2, 4};
  EXPECT_EQ(bucket_for(buckets, 3), 4);
  EXPECT_EQ(bucket_for(buckets, 5), -1);
}

}  // namespace
}  // namespace musaic
