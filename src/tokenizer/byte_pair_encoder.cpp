#include "tokenizer/byte_pair_encoder.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <limits>
#include <queue>

#include "base/status.h"
#include "tokenizer/byte_alphabet.h"

namespace musaic {
namespace {

constexpr uint32_t kNoRank = std::numeric_limits<uint32_t>::max();
constexpr int kShortPiece = 48;  // up to here scanning for the best pair beats a heap

size_t table_size(size_t entries) {
  return std::bit_ceil(entries * 2 + 2);
}  // at most half full

uint32_t hash_of(std::string_view bytes) {
  return static_cast<uint32_t>(std::hash<std::string_view>()(bytes));
}

uint64_t pair_of(TokenId left, TokenId right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}

std::string bytes_of_token(const TokenizerData& data, TokenId token) {
  using Type = TokenizerData::TokenType;
  const std::string& text = data.tokens[token];
  switch (data.types[token]) {
    case Type::kNormal:
    case Type::kByte:
      return bytes_from_alphabet(text).value_or(text);
    case Type::kUnused:
      return "";
    case Type::kUnknown:
    case Type::kControl:
    case Type::kUserDefined:
      return text;
  }
  return text;
}

bool is_made_by_merges(TokenizerData::TokenType type) {
  return type == TokenizerData::TokenType::kNormal || type == TokenizerData::TokenType::kByte;
}

}  // namespace

BytePairEncoder::BytePairEncoder(const TokenizerData& data) : ignore_merges_(data.ignore_merges) {
  index_words(data);
  index_merges(data.merges);
}

void BytePairEncoder::index_words(const TokenizerData& data) {
  const auto count = static_cast<TokenId>(data.tokens.size());
  bytes_.reserve(count);
  for (TokenId token = 0; token < count; ++token) bytes_.push_back(bytes_of_token(data, token));
  word_states_ = std::make_unique<std::atomic<uint8_t>[]>(count);
  words_.resize(table_size(count));
  for (TokenId token = 0; token < count; ++token) {
    if (is_made_by_merges(data.types[token])) add_word(token);
  }
  // Some vocabularies list words that merges make as user-defined tokens too.
  for (TokenId token = 0; token < count; ++token) {
    if (data.types[token] == TokenizerData::TokenType::kUserDefined) add_word(token);
  }
  for (int byte = 0; byte < 256; ++byte) {
    const char character = static_cast<char>(byte);
    byte_tokens_[byte] = find_word(std::string_view(&character, 1));
  }
}

void BytePairEncoder::add_word(TokenId token) {
  const std::string& bytes = bytes_[token];
  if (bytes.empty()) return;
  const uint32_t hash = hash_of(bytes);
  size_t slot = hash & (words_.size() - 1);
  for (; words_[slot].token >= 0; slot = (slot + 1) & (words_.size() - 1)) {
    if (words_[slot].hash == hash && bytes_[words_[slot].token] == bytes) return;
  }
  words_[slot] = {hash, token};
}

TokenId BytePairEncoder::find_word(std::string_view bytes) const {
  const uint32_t hash = hash_of(bytes);
  for (size_t slot = hash & (words_.size() - 1); words_[slot].token >= 0;
       slot = (slot + 1) & (words_.size() - 1)) {
    if (words_[slot].hash == hash && bytes_[words_[slot].token] == bytes) return words_[slot].token;
  }
  return -1;
}

void BytePairEncoder::index_merges(const std::vector<std::string>& merges) {
  merges_.resize(table_size(merges.size()));
  TokenId previous = -1;
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    previous = add_merge(merges[rank], static_cast<uint32_t>(rank), previous);
  }
}

// Vocabularies mostly list what merges make in the merges' order: the neighbour is tried before the table.
TokenId BytePairEncoder::find_merged(std::string_view bytes, TokenId previous) const {
  const size_t neighbour = static_cast<size_t>(previous + 1);
  if (previous >= 0 && neighbour < bytes_.size() && bytes_[neighbour] == bytes) return previous + 1;
  return find_word(bytes);
}

// Returns the token that the merge makes; `previous` is the one of the merge before.
TokenId BytePairEncoder::add_merge(const std::string& merge, uint32_t rank, TokenId previous) {
  const std::string_view text = merge;
  const size_t space = text.find(' ', 1);
  if (space == std::string_view::npos)
    fail_load("tokenizer: merge {} is '{}', expected two tokens", rank, merge);
  const auto left = bytes_from_alphabet(text.substr(0, space));
  const auto right = bytes_from_alphabet(text.substr(space + 1));
  if (!left || !right) fail_load("tokenizer: merge {} '{}' is not in the byte-level alphabet", rank, merge);
  const TokenId left_token = find_word(*left);
  const TokenId right_token = find_word(*right);
  const TokenId merged = find_merged(*left + *right, previous);
  if (left_token < 0 || right_token < 0 || merged < 0) {
    fail_load("tokenizer: merge {} '{}' needs tokens that the vocabulary does not have", rank, merge);
  }
  Merge& entry = merges_[merge_slot(pair_of(left_token, right_token))];
  if (entry.merged < 0) entry = {pair_of(left_token, right_token), rank, merged};
  return merged;
}

// The slot that holds `pair`, or the empty one where it would be.
size_t BytePairEncoder::merge_slot(uint64_t pair) const {
  constexpr uint64_t kGoldenRatio = 0x9E3779B97F4A7C15;  // spreads neighbouring ids over the table
  size_t slot = (pair * kGoldenRatio >> 32) & (merges_.size() - 1);
  while (merges_[slot].merged >= 0 && merges_[slot].pair != pair) slot = (slot + 1) & (merges_.size() - 1);
  return slot;
}

const BytePairEncoder::Merge* BytePairEncoder::find_merge(TokenId left, TokenId right) const {
  const Merge& entry = merges_[merge_slot(pair_of(left, right))];
  return entry.merged >= 0 ? &entry : nullptr;
}

uint32_t BytePairEncoder::rank_of(TokenId left, TokenId right) const {
  const Merge* merge = find_merge(left, right);
  return merge ? merge->rank : kNoRank;
}

void BytePairEncoder::encode(std::string_view piece, std::vector<TokenId>& out) const {
  const TokenId word = find_word(piece);
  if (word < 0) return merge_piece(piece, out);
  std::atomic<uint8_t>& state = word_states_[word];
  if (ignore_merges_ || state.load(std::memory_order_relaxed) == kMergesToItself) {
    out.push_back(word);
    return;
  }
  const size_t before = out.size();
  merge_piece(piece, out);
  const bool to_itself = out.size() == before + 1 && out.back() == word;
  state.store(to_itself ? kMergesToItself : kMergesToOthers, std::memory_order_relaxed);
}

void BytePairEncoder::merge_piece(std::string_view piece, std::vector<TokenId>& out) const {
  if (piece.size() > kShortPiece) {
    std::vector<TokenId> tokens;
    tokens.reserve(piece.size());
    for (const char byte : piece) {
      if (const TokenId token = byte_tokens_[static_cast<uint8_t>(byte)]; token >= 0) tokens.push_back(token);
    }
    merge_long(tokens);
    out.insert(out.end(), tokens.begin(), tokens.end());
    return;
  }
  TokenId tokens[kShortPiece];
  int count = 0;
  for (const char byte : piece) {
    if (const TokenId token = byte_tokens_[static_cast<uint8_t>(byte)]; token >= 0) tokens[count++] = token;
  }
  count = merge_short(tokens, count);
  out.insert(out.end(), tokens, tokens + count);
}

// Merges in place the pair of the lowest rank, the leftmost of equals, until none is left; returns the new
// count.
int BytePairEncoder::merge_short(TokenId* tokens, int count) const {
  uint32_t ranks[kShortPiece];  // of tokens i and i + 1
  for (int i = 0; i + 1 < count; ++i) ranks[i] = rank_of(tokens[i], tokens[i + 1]);
  while (count > 1) {
    const int best = static_cast<int>(std::min_element(ranks, ranks + count - 1) - ranks);
    if (ranks[best] == kNoRank) break;
    tokens[best] = find_merge(tokens[best], tokens[best + 1])->merged;
    std::copy(tokens + best + 2, tokens + count, tokens + best + 1);
    std::copy(ranks + best + 1, ranks + count - 1, ranks + best);
    --count;
    if (best > 0) ranks[best - 1] = rank_of(tokens[best - 1], tokens[best]);
    if (best + 1 < count) ranks[best] = rank_of(tokens[best], tokens[best + 1]);
  }
  return count;
}

// The same for long pieces: a linked list of symbols and a heap of pairs, n log n.
void BytePairEncoder::merge_long(std::vector<TokenId>& tokens) const {
  struct Symbol {
    TokenId token;  // -1: merged into its left neighbour
    int previous, next;
  };
  struct Pair {
    uint32_t rank;
    int left;  // symbols' indices
    uint64_t pair;
    bool operator>(const Pair& other) const {
      return rank != other.rank ? rank > other.rank : left > other.left;
    }
  };
  const int count = static_cast<int>(tokens.size());
  std::vector<Symbol> symbols(count);
  for (int i = 0; i < count; ++i) symbols[i] = {tokens[i], i - 1, i + 1 < count ? i + 1 : -1};
  std::priority_queue<Pair, std::vector<Pair>, std::greater<>> pairs;
  const auto push_pair = [&](int left) {
    if (left < 0 || symbols[left].next < 0) return;
    const TokenId right_token = symbols[symbols[left].next].token;
    const uint32_t rank = rank_of(symbols[left].token, right_token);
    if (rank != kNoRank) pairs.push({rank, left, pair_of(symbols[left].token, right_token)});
  };
  for (int i = 0; i < count; ++i) push_pair(i);
  while (!pairs.empty()) {
    const Pair best = pairs.top();
    pairs.pop();
    Symbol& left = symbols[best.left];
    if (left.token < 0 || left.next < 0) continue;
    Symbol& right = symbols[left.next];
    if (pair_of(left.token, right.token) != best.pair) continue;  // one of the two has changed since
    left.token = find_merge(left.token, right.token)->merged;
    right.token = -1;
    left.next = right.next;
    if (left.next >= 0) symbols[left.next].previous = best.left;
    push_pair(left.previous);
    push_pair(best.left);
  }
  tokens.clear();
  for (const Symbol& symbol : symbols) {
    if (symbol.token >= 0) tokens.push_back(symbol.token);
  }
}

}  // namespace musaic
