#pragma once

#include <array>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "request/request.h"

namespace musaic {

// Finds the text of special tokens within a text: the leftmost, and of those that begin there the longest.
class SpecialTokens {
 public:
  struct Match {
    size_t begin = 0;
    size_t end = 0;
    TokenId token = -1;
  };

  SpecialTokens();
  void add(std::string_view text, TokenId token);
  std::optional<Match> find(std::string_view text, size_t from) const;

 private:
  struct Node {  // of a trie over bytes
    std::vector<std::pair<char, int>> children;
    TokenId token = -1;
  };
  int child(int node, char byte) const;

  std::vector<Node> nodes_;
  std::array<bool, 256> begins_{};  // bytes with which some special token begins
};

}  // namespace musaic
