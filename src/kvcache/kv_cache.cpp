#include "kvcache/kv_cache.h"

#include <algorithm>

#include "base/check.h"

namespace musaic {

KvCache::KvCache(int num_pages, int page_size, bool cache_prefixes)
    : page_size_(page_size), cache_prefixes_(cache_prefixes), pool_(num_pages), tree_(pool_, page_size) {}

int KvCache::matched_tokens(std::span<const TokenId> tokens) const {
  return tree_.matched_pages(tokens) * page_size_;
}

int KvCache::attach(PageTable& table, std::span<const TokenId> tokens) {
  CHECK(table.pages.empty() && table.node == nullptr, "a page table is attached twice");
  table.node = tree_.match(tokens, table.pages);
  tree_.lock(table.node);
  for (const int32_t page : table.pages) pool_.retain(page);
  table.published_pages = static_cast<int>(table.pages.size());
  return table.published_pages * page_size_;
}

int KvCache::missing_pages(const PageTable& table, int num_tokens) const {
  const int needed = (num_tokens + page_size_ - 1) / page_size_;
  return std::max(0, needed - static_cast<int>(table.pages.size()));
}

bool KvCache::grow(PageTable& table, int num_tokens) {
  const int missing = missing_pages(table, num_tokens);
  if (missing > available_pages()) return false;
  if (missing > pool_.num_free()) tree_.evict(missing - pool_.num_free());
  for (int i = 0; i < missing; ++i) table.pages.push_back(pool_.take());
  return true;
}

void KvCache::publish(PageTable& table, std::span<const TokenId> tokens) {
  const size_t first = static_cast<size_t>(table.published_pages);
  const size_t page_size = static_cast<size_t>(page_size_);
  const size_t end = tokens.size() / page_size;
  if (!cache_prefixes_ || end <= first) return;
  const auto new_tokens = tokens.subspan(first * page_size, (end - first) * page_size);
  const auto new_pages = std::span<int32_t>(table.pages).subspan(first, end - first);
  const PrefixTree::Inserted inserted = tree_.insert(table.node, new_tokens, new_pages);
  tree_.lock(inserted.node);
  tree_.unlock(table.node);
  table.node = inserted.node;
  table.published_pages += inserted.num_pages;
}

void KvCache::release(PageTable& table) {
  for (const int32_t page : table.pages) pool_.release(page);
  if (table.node != nullptr) tree_.unlock(table.node);
  table = {};
}

void KvCache::clear_prefixes() {
  tree_.evict(tree_.evictable_pages());
}

}  // namespace musaic
