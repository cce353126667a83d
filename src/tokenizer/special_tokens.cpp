#include "tokenizer/special_tokens.h"

#include <cstdint>

namespace musaic {

SpecialTokens::SpecialTokens() : nodes_(1) {}

int SpecialTokens::child(int node, char byte) const {
  for (const auto& [label, target] : nodes_[node].children) {
    if (label == byte) return target;
  }
  return -1;
}

void SpecialTokens::add(std::string_view text, TokenId token) {
  if (text.empty()) return;
  begins_[static_cast<uint8_t>(text.front())] = true;
  int node = 0;
  for (const char byte : text) {
    int next = child(node, byte);
    if (next < 0) {
      next = static_cast<int>(nodes_.size());
      nodes_.emplace_back();
      nodes_[node].children.emplace_back(byte, next);
    }
    node = next;
  }
  if (nodes_[node].token < 0) nodes_[node].token = token;
}

std::optional<SpecialTokens::Match> SpecialTokens::find(std::string_view text, size_t from) const {
  for (size_t begin = from; begin < text.size(); ++begin) {
    if (!begins_[static_cast<uint8_t>(text[begin])]) continue;
    Match longest;
    int node = 0;
    for (size_t end = begin; end < text.size(); ++end) {
      node = child(node, text[end]);
      if (node < 0) break;
      if (nodes_[node].token >= 0) longest = {begin, end + 1, nodes_[node].token};
    }
    if (longest.token >= 0) return longest;
  }
  return std::nullopt;
}

}  // namespace musaic
