#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "kvcache/page_pool.h"
#include "request/request.h"

namespace musaic {

// A radix tree from token prefixes, in whole pages, to the pages that hold their keys and values. The tree
// holds each of its pages once in the pool. A node locked by a live sequence, and all above it, stay; the
// others are evicted from the leaves, least recently used first. Used by the engine thread only.
class PrefixTree {
 public:
  struct Node;
  struct Inserted {
    Node* node = nullptr;  // where the inserted prefix ends
    int num_pages = 0;     // pages of the argument above `node`'s end, whether they were new or known
  };

  PrefixTree(PagePool& pool, int page_size);
  ~PrefixTree();
  PrefixTree(const PrefixTree&) = delete;
  PrefixTree& operator=(const PrefixTree&) = delete;

  Node* root() { return root_.get(); }

  // The node where the longest known prefix of `tokens` ends; appends the prefix's pages (not retained) to
  // `pages`.
  Node* match(std::span<const TokenId> tokens, std::vector<int32_t>& pages);
  int matched_pages(std::span<const TokenId> tokens) const;

  // Adds `tokens`, which follow the end of `parent`; pages[i], held by the caller, has tokens
  // [i * page_size, (i + 1) * page_size). Where the tokens are known already the caller's hold moves to the
  // tree's page, and pages[i] with it, so that no prefix is stored twice.
  Inserted insert(Node* parent, std::span<const TokenId> tokens, std::span<int32_t> pages);

  void lock(Node* node);
  void unlock(Node* node);

  int num_pages() const { return num_pages_; }
  int evictable_pages() const { return evictable_pages_; }
  int evict(int num_pages);  // returns how many pages it let go of

 private:
  Node* child_of(const Node* node, std::span<const TokenId> tokens) const;
  int common_pages(const Node* node, std::span<const TokenId> tokens) const;
  void adopt(const Node* node, std::span<int32_t> pages);
  Node* split(Node* node, int num_pages);
  Node* add_leaf(Node* parent, std::span<const TokenId> tokens, std::span<const int32_t> pages);
  void remove_leaf(Node* leaf);
  bool is_evictable_leaf(const Node* node) const;
  uint64_t page_hash(std::span<const TokenId> tokens) const;
  void touch(Node* node);

  PagePool& pool_;
  const size_t page_size_;
  std::unique_ptr<Node> root_;
  std::set<std::pair<uint64_t, Node*>> evictable_leaves_;  // by last use, which is unique
  uint64_t clock_ = 0;
  int num_pages_ = 0;
  int evictable_pages_ = 0;
};

}  // namespace musaic
