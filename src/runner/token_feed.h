#pragma once

#include <span>
#include <utility>
#include <vector>

#include "device/launch_ahead.h"
#include "request/batch.h"
#include "runner/head_writer.h"

namespace musaic {

// Where the tokens are that the last step drew, by slot: rows of the device's buffer, and on the host once
// they were read. So a step can be launched before its tokens were.
class TokenFeed {
 public:
  explicit TokenFeed(int max_slots) : row_of_slot_(max_slots, kNone), token_of_slot_(max_slots, kNone) {}

  // A step with these rows was enqueued, and writes over the tokens of the one before.
  void note_drawn(const Batch& batch, std::span<const HeadRow> rows);
  // The host has read them, one a row.
  void note_read(const Batch& batch, std::span<const HeadRow> rows, std::span<const TokenId> tokens);

  // Forgets what was taken.
  void begin_step() { taken_.clear(); }
  // The token of a slot for row `row` of the next step: itself where the host knows it; else 0, for copies()
  // to replace. One whose step failed stays 0: its sequence has ended, so nobody sees what it draws.
  TokenId take(int slot, int row);
  // Where `token_ids` on the device take what was taken from: `drawn`, of the last step. Valid until the next
  // begin_step().
  std::span<const DeviceCopy> copies(int32_t* token_ids, const int32_t* drawn);

 private:
  static constexpr int kNone = -1;

  std::vector<int> row_of_slot_;
  std::vector<TokenId> token_of_slot_;
  std::vector<std::pair<int, int>> taken_;  // row of the next step, row of the last
  std::vector<DeviceCopy> copies_;
};

}  // namespace musaic
