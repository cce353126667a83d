#include "kvcache/prefix_tree.h"

#include <algorithm>
#include <unordered_map>

#include "base/check.h"

namespace musaic {

struct PrefixTree::Node {
  Node* parent = nullptr;
  std::vector<TokenId> tokens;  // pages.size() * page_size
  std::vector<int32_t> pages;
  uint64_t hash = 0;  // of the first page: the key among the parent's children
  // By the hash of the child's first page. Of two pages with one hash only the first is kept.
  std::unordered_map<uint64_t, std::unique_ptr<Node>> children;
  int locks = 0;  // live sequences that end here or below
  uint64_t last_use = 0;
};

PrefixTree::PrefixTree(PagePool& pool, int page_size)
    : pool_(pool), page_size_(static_cast<size_t>(page_size)), root_(std::make_unique<Node>()) {
  root_->locks = 1;
}

PrefixTree::~PrefixTree() {
  // Taken apart level by level: a long chain of nodes must not recurse.
  std::vector<std::unique_ptr<Node>> level;
  level.push_back(std::move(root_));
  while (!level.empty()) {
    std::unique_ptr<Node> node = std::move(level.back());
    level.pop_back();
    for (const int32_t page : node->pages) pool_.release(page);
    for (auto& [hash, child] : node->children) level.push_back(std::move(child));
  }
}

PrefixTree::Node* PrefixTree::match(std::span<const TokenId> tokens, std::vector<int32_t>& pages) {
  Node* node = root();
  while (Node* child = child_of(node, tokens)) {
    const size_t common = static_cast<size_t>(common_pages(child, tokens));
    if (common == 0) break;
    node = common < child->pages.size() ? split(child, static_cast<int>(common)) : child;
    pages.insert(pages.end(), node->pages.begin(), node->pages.end());
    tokens = tokens.subspan(common * page_size_);
  }
  return node;
}

int PrefixTree::matched_pages(std::span<const TokenId> tokens) const {
  size_t matched = 0;
  const Node* node = root_.get();
  while (const Node* child = child_of(node, tokens)) {
    const size_t common = static_cast<size_t>(common_pages(child, tokens));
    matched += common;
    if (common < child->pages.size()) break;
    tokens = tokens.subspan(common * page_size_);
    node = child;
  }
  return static_cast<int>(matched);
}

PrefixTree::Inserted PrefixTree::insert(Node* parent, std::span<const TokenId> tokens,
                                        std::span<int32_t> pages) {
  CHECK(tokens.size() == pages.size() * page_size_, "prefix tree: {} tokens for {} pages", tokens.size(),
        pages.size());
  Node* node = parent;
  size_t done = 0;
  while (done < pages.size()) {
    Node* child = child_of(node, tokens);
    if (child == nullptr) {
      node = add_leaf(node, tokens, pages.subspan(done));
      done = pages.size();
      break;
    }
    const size_t common = static_cast<size_t>(common_pages(child, tokens));
    if (common == 0) break;  // another page with the same hash
    node = common < child->pages.size() ? split(child, static_cast<int>(common)) : child;
    adopt(node, pages.subspan(done, common));
    tokens = tokens.subspan(common * page_size_);
    done += common;
  }
  return {node, static_cast<int>(done)};
}

void PrefixTree::lock(Node* node) {
  for (; node != root(); node = node->parent) {
    if (node->locks == 0) {
      evictable_pages_ -= static_cast<int>(node->pages.size());
      evictable_leaves_.erase({node->last_use, node});
    }
    ++node->locks;
  }
}

void PrefixTree::unlock(Node* node) {
  for (; node != root(); node = node->parent) {
    CHECK(node->locks > 0, "prefix tree: a node is unlocked more often than locked");
    --node->locks;
    touch(node);
    if (node->locks > 0) continue;
    evictable_pages_ += static_cast<int>(node->pages.size());
    if (is_evictable_leaf(node)) evictable_leaves_.insert({node->last_use, node});
  }
}

int PrefixTree::evict(int num_pages) {
  int evicted = 0;
  while (evicted < num_pages && !evictable_leaves_.empty()) {
    Node* leaf = evictable_leaves_.begin()->second;
    const size_t wanted = static_cast<size_t>(num_pages - evicted);
    const size_t count = std::min(wanted, leaf->pages.size());
    for (size_t i = 0; i < count; ++i) {
      pool_.release(leaf->pages.back());
      leaf->pages.pop_back();
    }
    leaf->tokens.resize(leaf->pages.size() * page_size_);
    evicted += static_cast<int>(count);
    num_pages_ -= static_cast<int>(count);
    evictable_pages_ -= static_cast<int>(count);
    if (leaf->pages.empty()) remove_leaf(leaf);
  }
  return evicted;
}

PrefixTree::Node* PrefixTree::child_of(const Node* node, std::span<const TokenId> tokens) const {
  if (tokens.size() < page_size_ || node->children.empty()) return nullptr;
  const auto child = node->children.find(page_hash(tokens));
  return child == node->children.end() ? nullptr : child->second.get();
}

int PrefixTree::common_pages(const Node* node, std::span<const TokenId> tokens) const {
  const size_t length = std::min(node->tokens.size(), tokens.size());
  const auto end = node->tokens.begin() + static_cast<std::ptrdiff_t>(length);
  const auto differs = std::mismatch(node->tokens.begin(), end, tokens.begin()).first;
  return static_cast<int>(static_cast<size_t>(differs - node->tokens.begin()) / page_size_);
}

void PrefixTree::adopt(const Node* node, std::span<int32_t> pages) {
  for (size_t i = 0; i < pages.size(); ++i) {
    if (pages[i] == node->pages[i]) continue;
    pool_.retain(node->pages[i]);
    pool_.release(pages[i]);
    pages[i] = node->pages[i];
  }
}

// Cuts `node` after `num_pages`; returns the new upper part. The lower part stays the same object, since
// sequences that lock it end there.
PrefixTree::Node* PrefixTree::split(Node* node, int num_pages) {
  const auto tokens_cut = node->tokens.begin() + num_pages * static_cast<std::ptrdiff_t>(page_size_);
  const auto pages_cut = node->pages.begin() + num_pages;
  std::unique_ptr<Node>& place = node->parent->children.at(node->hash);
  auto upper = std::make_unique<Node>();
  upper->parent = node->parent;
  upper->tokens.assign(node->tokens.begin(), tokens_cut);
  upper->pages.assign(node->pages.begin(), pages_cut);
  upper->hash = node->hash;
  upper->locks = node->locks;
  touch(upper.get());
  node->tokens.erase(node->tokens.begin(), tokens_cut);
  node->pages.erase(node->pages.begin(), pages_cut);
  node->parent = upper.get();
  node->hash = page_hash(node->tokens);
  std::unique_ptr<Node> lower = std::exchange(place, std::move(upper));
  Node* above = place.get();
  above->children.emplace(node->hash, std::move(lower));
  return above;
}

PrefixTree::Node* PrefixTree::add_leaf(Node* parent, std::span<const TokenId> tokens,
                                       std::span<const int32_t> pages) {
  auto leaf = std::make_unique<Node>();
  Node* node = leaf.get();
  node->parent = parent;
  node->tokens.assign(tokens.begin(), tokens.end());
  node->pages.assign(pages.begin(), pages.end());
  node->hash = page_hash(tokens);
  for (const int32_t page : pages) pool_.retain(page);
  touch(node);
  if (is_evictable_leaf(parent)) evictable_leaves_.erase({parent->last_use, parent});
  parent->children.emplace(node->hash, std::move(leaf));
  num_pages_ += static_cast<int>(pages.size());
  evictable_pages_ += static_cast<int>(pages.size());
  evictable_leaves_.insert({node->last_use, node});
  return node;
}

void PrefixTree::remove_leaf(Node* leaf) {
  evictable_leaves_.erase({leaf->last_use, leaf});
  Node* parent = leaf->parent;
  parent->children.erase(leaf->hash);
  if (is_evictable_leaf(parent)) evictable_leaves_.insert({parent->last_use, parent});
}

bool PrefixTree::is_evictable_leaf(const Node* node) const {
  return node->locks == 0 && node->children.empty();
}

uint64_t PrefixTree::page_hash(std::span<const TokenId> tokens) const {
  uint64_t hash = 0x9e3779b97f4a7c15u;  // the golden ratio: any odd number of mixed bits does
  for (const TokenId token : tokens.first(page_size_)) {
    hash = (hash ^ static_cast<uint32_t>(token)) * 0xff51afd7ed558ccdu;
    hash ^= hash >> 32;
  }
  return hash;
}

void PrefixTree::touch(Node* node) {
  node->last_use = ++clock_;
}

}  // namespace musaic
