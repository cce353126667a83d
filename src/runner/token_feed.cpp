#include "runner/token_feed.h"

#include <algorithm>

namespace musaic {

void TokenFeed::note_drawn(const Batch& batch, std::span<const HeadRow> rows) {
  std::fill(row_of_slot_.begin(), row_of_slot_.end(), kNone);
  for (size_t i = 0; i < rows.size(); ++i) {
    if (!rows[i].draw) continue;
    const int slot = batch.sequences[rows[i].sequence].slot;
    row_of_slot_[slot] = static_cast<int>(i);
    token_of_slot_[slot] = kNone;
  }
}

void TokenFeed::note_read(const Batch& batch, std::span<const HeadRow> rows,
                          std::span<const TokenId> tokens) {
  for (size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].draw) token_of_slot_[batch.sequences[rows[i].sequence].slot] = tokens[i];
  }
}

TokenId TokenFeed::take(int slot, int row) {
  if (token_of_slot_[slot] != kNone) return token_of_slot_[slot];
  if (row_of_slot_[slot] != kNone) taken_.emplace_back(row, row_of_slot_[slot]);
  return 0;
}

// Sequences keep their order from step to step, so that a few runs of rows are all.
std::span<const DeviceCopy> TokenFeed::copies(int32_t* token_ids, const int32_t* drawn) {
  copies_.clear();
  for (size_t begin = 0; begin < taken_.size();) {
    const auto [to, from] = taken_[begin];
    size_t end = begin + 1;
    while (end < taken_.size() && taken_[end].first == to + static_cast<int>(end - begin) &&
           taken_[end].second == from + static_cast<int>(end - begin)) {
      ++end;
    }
    copies_.push_back({token_ids + to, drawn + from, (end - begin) * sizeof(int32_t)});
    begin = end;
  }
  return copies_;
}

}  // namespace musaic
