#include "program/explain/fold.h"

#include <gmock/gmock.h>

namespace musaic {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<Repeat> folded(const std::vector<int>& items) {
  return fold(items);
}

TEST(Fold, FindsTheLayersOfAModel) {
  EXPECT_THAT(folded({1, 2, 3, 2, 3, 2, 3, 4}),
              ElementsAre(Repeat{0, 1, 1}, Repeat{1, 2, 3}, Repeat{7, 1, 1}));
}

TEST(Fold, KeepsWhatDoesNotRepeatTogether) {
  EXPECT_THAT(folded({1, 2, 3}), ElementsAre(Repeat{0, 3, 1}));
  EXPECT_THAT(folded({}), IsEmpty());
}

TEST(Fold, PrefersTheStretchThatCoversMost) {
  EXPECT_THAT(folded({5, 5, 6, 5, 5, 6}), ElementsAre(Repeat{0, 3, 2})) << "not the pair of fives";
  EXPECT_THAT(folded({7, 7, 7, 7}), ElementsAre(Repeat{0, 1, 4})) << "not twice a pair";
}

TEST(Fold, CoversEveryItemOnce) {
  uint32_t state = 1;
  for (int round = 0; round < 200; ++round) {
    std::vector<int> items(static_cast<size_t>(round % 40));
    for (int& item : items) item = static_cast<int>((state = state * 1664525u + 1013904223u) >> 30);
    std::vector<int> unfolded;
    for (const Repeat& repeat : fold(items)) {
      EXPECT_EQ(repeat.begin, static_cast<int>(unfolded.size()));
      for (int i = 0; i < repeat.count * repeat.period; ++i)
        unfolded.push_back(items[repeat.begin + i % repeat.period]);
    }
    EXPECT_EQ(unfolded, items);
  }
}

}  // namespace
}  // namespace musaic
