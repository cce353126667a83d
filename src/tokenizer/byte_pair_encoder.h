#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace musaic {

// The vocabulary by bytes and the merges by rank. Safe from any thread.
class BytePairEncoder {
 public:
  // Throws LoadError when a merge names a token that the vocabulary lacks.
  explicit BytePairEncoder(const TokenizerData& data);

  // Appends the tokens of one piece of text. Bytes that have no token are left out before anything is merged.
  void encode(std::string_view piece, std::vector<TokenId>& out) const;

  const std::string& bytes(TokenId token) const { return bytes_[token]; }

 private:
  struct Merge {
    uint64_t pair = 0;    // left token << 32 | right token
    uint32_t rank = 0;    // lower is merged first
    TokenId merged = -1;  // -1: an empty slot
  };
  struct Word {
    uint32_t hash = 0;
    TokenId token = -1;  // -1: an empty slot
  };
  enum WordState : uint8_t { kUntried, kMergesToItself, kMergesToOthers };

  void index_words(const TokenizerData& data);
  void add_word(TokenId token);
  void index_merges(const std::vector<std::string>& merges);
  TokenId add_merge(const std::string& merge, uint32_t rank, TokenId previous);
  TokenId find_merged(std::string_view bytes, TokenId previous) const;
  TokenId find_word(std::string_view bytes) const;
  const Merge* find_merge(TokenId left, TokenId right) const;
  uint32_t rank_of(TokenId left, TokenId right) const;
  size_t merge_slot(uint64_t pair) const;
  void merge_piece(std::string_view piece, std::vector<TokenId>& out) const;
  int merge_short(TokenId* tokens, int count) const;
  void merge_long(std::vector<TokenId>& tokens) const;

  bool ignore_merges_ = false;
  std::vector<std::string> bytes_;  // by token
  TokenId byte_tokens_[256];        // -1: the byte has no token
  std::vector<Word> words_;         // open addressing, a power of two
  std::vector<Merge> merges_;       // open addressing, a power of two
  std::unique_ptr<std::atomic<uint8_t>[]>
      word_states_;  // by token: most words are found out once, then looked up
};

}  // namespace musaic
