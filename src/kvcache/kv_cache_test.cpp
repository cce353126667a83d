#include "kvcache/kv_cache.h"

#include <gtest/gtest.h>

#include <numeric>

namespace musaic {
namespace {

std::vector<TokenId> count_up(int length, TokenId first = 0) {
  std::vector<TokenId> tokens(static_cast<size_t>(length));
  std::iota(tokens.begin(), tokens.end(), first);
  return tokens;
}

TEST(KvCache, GivesPagesUntilNoneAreLeftAndThenChangesNothing) {
  KvCache cache(4, 4, true);
  PageTable table;
  PageTable other;
  EXPECT_TRUE(cache.grow(table, 9));
  EXPECT_EQ(table.pages.size(), 3u);
  EXPECT_TRUE(cache.grow(table, 12));
  EXPECT_EQ(table.pages.size(), 3u);
  EXPECT_FALSE(cache.grow(other, 5));
  EXPECT_TRUE(other.pages.empty());
  cache.release(table);
  EXPECT_TRUE(cache.grow(other, 16));
}

TEST(KvCache, SharesAPublishedPrefixAndKeepsItWhileASequenceLives) {
  KvCache cache(8, 4, true);
  const auto tokens = count_up(10);
  PageTable first;
  EXPECT_EQ(cache.attach(first, tokens), 0);
  ASSERT_TRUE(cache.grow(first, 10));
  cache.publish(first, tokens);
  PageTable second;
  EXPECT_EQ(cache.attach(second, tokens), 8);
  EXPECT_EQ(second.pages, (std::vector<int32_t>{first.pages[0], first.pages[1]}));
  cache.release(first);
  EXPECT_EQ(cache.used_pages(), 2);
  cache.clear_prefixes();
  EXPECT_EQ(cache.used_pages(), 2);
  cache.release(second);
  EXPECT_EQ(cache.used_pages(), 0);
  EXPECT_EQ(cache.cached_pages(), 2);
  cache.clear_prefixes();
  EXPECT_EQ(cache.cached_pages(), 0);
}

TEST(KvCache, StoresAPrefixOnceThoughTwoSequencesComputedIt) {
  KvCache cache(8, 4, true);
  const auto tokens = count_up(8);
  PageTable first;
  PageTable second;
  cache.attach(first, tokens);
  cache.attach(second, tokens);
  ASSERT_TRUE(cache.grow(first, 8) && cache.grow(second, 8));
  cache.publish(first, tokens);
  cache.publish(second, tokens);
  EXPECT_EQ(second.pages, first.pages);
  EXPECT_EQ(cache.used_pages(), 2);
  cache.release(first);
  EXPECT_EQ(cache.used_pages(), 2);
  cache.release(second);
  EXPECT_EQ(cache.available_pages(), 8);
  EXPECT_EQ(cache.cached_pages(), 2);
}

TEST(KvCache, EvictsPrefixesForANewSequence) {
  KvCache cache(4, 4, true);
  PageTable table;
  const auto tokens = count_up(16);
  cache.attach(table, tokens);
  ASSERT_TRUE(cache.grow(table, 16));
  cache.publish(table, tokens);
  cache.release(table);
  EXPECT_EQ(cache.available_pages(), 4);
  ASSERT_TRUE(cache.grow(table, 12));
  EXPECT_EQ(cache.matched_tokens(tokens), 4);
}

TEST(KvCache, RemembersNothingWhenPrefixesAreOff) {
  KvCache cache(4, 4, false);
  PageTable table;
  const auto tokens = count_up(16);
  cache.attach(table, tokens);
  ASSERT_TRUE(cache.grow(table, 16));
  cache.publish(table, tokens);
  cache.release(table);
  EXPECT_EQ(cache.cached_pages(), 0);
  EXPECT_EQ(cache.matched_tokens(tokens), 0);
}

}  // namespace
}  // namespace musaic
