#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kvcache/page_pool.h"
#include "kvcache/prefix_tree.h"
#include "request/request.h"

namespace musaic {

// The pages of one live sequence, in order of positions. Filled and emptied by KvCache.
struct PageTable {
  std::vector<int32_t> pages;
  PrefixTree::Node* node = nullptr;  // locked; where the published part ends
  int published_pages = 0;           // leading pages that the prefix tree knows
};

// Which page holds which tokens: the pool, and over it the cache of prefixes. Pages that only the cache holds
// are given up on demand. Used by the engine thread only.
class KvCache {
 public:
  KvCache(int num_pages, int page_size, bool cache_prefixes);

  int page_size() const { return page_size_; }
  int num_pages() const { return pool_.num_pages(); }
  int cached_pages() const { return tree_.evictable_pages(); }  // held by the prefix cache alone
  int available_pages() const { return pool_.num_free() + cached_pages(); }
  int used_pages() const { return num_pages() - available_pages(); }

  // Tokens of the longest cached prefix, in whole pages.
  int matched_tokens(std::span<const TokenId> tokens) const;
  // Starts a table with that prefix and returns its tokens. REQUIRES: the table is empty.
  int attach(PageTable& table, std::span<const TokenId> tokens);
  // Pages that `table` lacks to hold `num_tokens`.
  int missing_pages(const PageTable& table, int num_tokens) const;
  // Adds pages until `table` holds `num_tokens`. False, and nothing done, when there are too few.
  bool grow(PageTable& table, int num_tokens);
  // Lets others find the whole pages of `tokens`, the leading tokens of this table whose keys and values are
  // written.
  void publish(PageTable& table, std::span<const TokenId> tokens);
  // Empties the table; what was published stays cached.
  void release(PageTable& table);
  // Forgets all prefixes that no live sequence uses.
  void clear_prefixes();

 private:
  const int page_size_;
  const bool cache_prefixes_;
  PagePool pool_;
  PrefixTree tree_;  // after the pool, whose pages it holds
};

}  // namespace musaic
