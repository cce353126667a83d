#include "kvcache/prefix_tree.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace musaic {
namespace {

using Tokens = std::vector<TokenId>;

struct Fixture {
  explicit Fixture(int num_pages, int page_size = 2) : pool(num_pages), tree(pool, page_size) {}

  std::vector<int32_t> take(int count) {
    std::vector<int32_t> pages;
    for (int i = 0; i < count; ++i) pages.push_back(pool.take());
    return pages;
  }
  void release(const std::vector<int32_t>& pages) {
    for (const int32_t page : pages) pool.release(page);
  }
  // Inserts as a finished sequence does: the tree alone holds the pages afterwards.
  std::vector<int32_t> insert(const Tokens& tokens, int page_size = 2) {
    std::vector<int32_t> pages = take(static_cast<int>(tokens.size()) / page_size);
    tree.insert(tree.root(), tokens, pages);
    release(pages);
    return pages;
  }
  std::vector<int32_t> match(const Tokens& tokens) {
    std::vector<int32_t> pages;
    tree.match(tokens, pages);
    return pages;
  }

  PagePool pool;
  PrefixTree tree;
};

TEST(PrefixTree, FindsTheWholePagesOfTheLongestPrefix) {
  Fixture f(10);
  const auto pages = f.insert({1, 2, 3, 4, 5, 6});
  EXPECT_EQ(f.match({1, 2, 3, 4, 5, 6, 7}), pages);
  EXPECT_EQ(f.match({1, 2, 3, 4, 5, 9}), (std::vector<int32_t>{pages[0], pages[1]}));
  EXPECT_EQ(f.match({1, 2, 3}), (std::vector<int32_t>{pages[0]}));
  EXPECT_TRUE(f.match({1, 9, 3, 4}).empty());
  EXPECT_TRUE(f.match({1}).empty());
  EXPECT_EQ(f.tree.num_pages(), 3);
}

TEST(PrefixTree, KeepsItsOwnPagesWhereTokensAreKnown) {
  Fixture f(10);
  const auto first = f.insert({1, 2, 3, 4});
  const auto second = f.insert({1, 2, 5, 6});
  EXPECT_EQ(second[0], first[0]);
  EXPECT_EQ(f.match({1, 2, 5, 6}), second);
  EXPECT_EQ(f.tree.num_pages(), 3);
  EXPECT_EQ(f.pool.num_free(), 7);
}

TEST(PrefixTree, EvictsTheLeastRecentlyUsedLeavesFromTheirEnds) {
  Fixture f(10);
  f.insert({1, 2, 3, 4, 5, 6});
  f.insert({7, 8, 9, 10});
  std::vector<int32_t> pages;
  PrefixTree::Node* first = f.tree.match(Tokens{1, 2, 3, 4, 5, 6}, pages);
  f.tree.lock(first);
  f.tree.unlock(first);
  EXPECT_EQ(f.tree.evict(1), 1);
  EXPECT_EQ(f.tree.matched_pages(Tokens{7, 8, 9, 10}), 1);
  EXPECT_EQ(f.tree.evict(2), 2);
  EXPECT_EQ(f.tree.matched_pages(Tokens{7, 8, 9, 10}), 0);
  EXPECT_EQ(f.tree.matched_pages(Tokens{1, 2, 3, 4, 5, 6}), 2);
  EXPECT_EQ(f.tree.evict(9), 2);
  EXPECT_EQ(f.pool.num_free(), 10);
}

TEST(PrefixTree, NeverEvictsALockedNodeOrWhatIsAboveIt) {
  Fixture f(10);
  f.insert({1, 2, 3, 4, 5, 6});
  std::vector<int32_t> pages;
  PrefixTree::Node* node = f.tree.match(Tokens{1, 2, 3, 4}, pages);
  f.tree.lock(node);
  EXPECT_EQ(f.tree.evictable_pages(), 1);
  EXPECT_EQ(f.tree.evict(10), 1);
  f.match({1, 2});  // splits the locked node
  EXPECT_EQ(f.tree.evict(10), 0);
  f.tree.unlock(node);
  EXPECT_EQ(f.tree.evictable_pages(), 2);
  EXPECT_EQ(f.tree.evict(10), 2);
  EXPECT_EQ(f.pool.num_free(), 10);
}

// Against a plain list of prefixes: one page number a prefix, first come first kept.
TEST(PrefixTree, AgreesWithAListOfPrefixesOnRandomTokens) {
  std::mt19937 random(7);
  for (int round = 0; round < 50; ++round) {
    Fixture f(4000, 3);
    std::vector<std::pair<Tokens, int32_t>> known;
    const auto find = [&](const Tokens& prefix) {
      return std::find_if(known.begin(), known.end(),
                          [&](const auto& entry) { return entry.first == prefix; });
    };
    for (int i = 0; i < 60; ++i) {
      Tokens tokens(3 * (1 + random() % 6));
      for (TokenId& token : tokens) token = static_cast<TokenId>(random() % 2);
      std::vector<int32_t> expected;
      for (size_t end = 3; end <= tokens.size(); end += 3) {
        const auto entry = find(Tokens(tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(end)));
        if (entry == known.end()) break;
        expected.push_back(entry->second);
      }
      ASSERT_EQ(f.tree.matched_pages(tokens), static_cast<int>(expected.size()));
      ASSERT_EQ(f.match(tokens), expected);
      const auto pages = f.insert(tokens, 3);
      for (size_t end = expected.size() + 1; end <= pages.size(); ++end) {
        known.emplace_back(Tokens(tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(end * 3)),
                           pages[end - 1]);
      }
      ASSERT_EQ(f.tree.num_pages(), static_cast<int>(known.size()));
    }
    EXPECT_EQ(f.tree.evict(4000), static_cast<int>(known.size()));
    EXPECT_EQ(f.pool.num_free(), 4000);
  }
}

}  // namespace
}  // namespace musaic
