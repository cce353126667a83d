#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <set>
#include <utility>
#include <vector>

#include "request/batch.h"
#include "request/request.h"
#include "scheduler/scheduler_options.h"

namespace musaic {

// A language model without arithmetic: the next token is a hash of all tokens before it, read from a paged
// memory as attention would read keys and values. A wrong page, position, slot or prefix therefore changes
// the answer.
class PagedModel {
 public:
  PagedModel(const StepLimits& limits, int vocab_size)
      : limits_(limits),
        vocab_size_(vocab_size),
        memory_(static_cast<size_t>(limits.num_pages) * limits.page_size, -7),
        slots_(static_cast<size_t>(limits.max_sequences)) {}

  StepOutput run(const Batch& batch) {
    check(batch);
    for (const BatchSequence& row : batch.sequences) write(row);
    StepOutput output;
    for (const BatchSequence& row : batch.sequences) output.sequences.push_back(compute(row));
    const double seconds = seconds_per_step + seconds_per_token * batch.num_tokens();
    output.record = {batch.kind, true, batch.num_tokens(), batch.num_tokens() + 1, "bucket", seconds};
    return output;
  }

  // The tokens that a request has alone, by the plain definition.
  static std::vector<TokenId> answer_alone(const Request& request,
                                           const std::vector<TokenId>& model_end_tokens, int vocab_size) {
    std::vector<TokenId> ends = request.sampling.stop_token_ids;
    if (!request.sampling.ignore_eos)
      ends.insert(ends.end(), model_end_tokens.begin(), model_end_tokens.end());
    std::vector<TokenId> history = request.input_ids;
    std::vector<TokenId> answer;
    uint64_t drawn = 0;
    while (static_cast<int>(answer.size()) < request.sampling.max_new_tokens) {
      const int count = static_cast<int>(answer.size());
      const auto banned = count < request.sampling.min_new_tokens ? ends : std::vector<TokenId>{};
      const TokenId token = draw(hash_of(history), drawn, *request.sampling.seed, count, banned, vocab_size);
      history.push_back(token);
      answer.push_back(token);
      drawn += mix(static_cast<uint64_t>(token));
      if (std::count(ends.begin(), ends.end(), token) > 0) break;
    }
    return answer;
  }

  // The "log-probability" of `target` after `history`.
  static float logprob(const std::vector<TokenId>& history, TokenId target) {
    return -static_cast<float>(mix(hash_of(history) + static_cast<uint64_t>(target)) % 1000);
  }

  int max_tokens_seen() const { return max_tokens_seen_; }

  // What a step claims to take.
  double seconds_per_step = 0.0;
  double seconds_per_token = 0.0;

 private:
  struct Slot {
    TokenId last = -1;
    uint64_t drawn = 0;  // stands for the counts that penalties read
  };

  static uint64_t mix(uint64_t x) {
    x = (x ^ (x >> 31)) * 0x9e3779b97f4a7c15u + 0x632be59bd9b4e019u;
    return x ^ (x >> 29);
  }
  static uint64_t hash_of(const std::vector<TokenId>& tokens) {
    uint64_t hash = 1;
    for (const TokenId token : tokens) hash = mix(hash * 31 + static_cast<uint64_t>(token));
    return hash;
  }
  static TokenId draw(uint64_t hash, uint64_t drawn, int64_t seed, int count,
                      const std::vector<TokenId>& banned, int vocab_size) {
    const uint64_t state =
        mix(hash + 3 * drawn + 5 * static_cast<uint64_t>(seed) + 7 * static_cast<uint64_t>(count));
    auto token = static_cast<TokenId>(state % static_cast<uint64_t>(vocab_size));
    while (std::count(banned.begin(), banned.end(), token) > 0) token = (token + 1) % vocab_size;
    return token;
  }

  void check(const Batch& batch) {
    EXPECT_LE(batch.num_tokens(), limits_.max_tokens_per_step);
    max_tokens_seen_ = std::max(max_tokens_seen_, batch.num_tokens());
    std::set<int> slots;
    for (const BatchSequence& row : batch.sequences) {
      const int end = row.start + static_cast<int>(row.tokens.size());
      EXPECT_LE(end, limits_.max_context);
      EXPECT_GE(row.slot, 0);
      EXPECT_LT(row.slot, limits_.max_sequences);
      EXPECT_TRUE(slots.insert(row.slot).second) << "two rows in slot " << row.slot;
      EXPECT_EQ(static_cast<int>(row.pages.size()), (end + limits_.page_size - 1) / limits_.page_size);
      EXPECT_TRUE(row.sampling.seed.has_value());
      EXPECT_TRUE(batch.kind == StepKind::kExtend || row.tokens.size() == 1u);
    }
  }

  TokenId& at(const BatchSequence& row, int position) {
    const auto page = static_cast<size_t>(row.pages[static_cast<size_t>(position / limits_.page_size)]);
    return memory_[page * static_cast<size_t>(limits_.page_size) +
                   static_cast<size_t>(position % limits_.page_size)];
  }

  void write(const BatchSequence& row) {
    Slot& slot = slots_[static_cast<size_t>(row.slot)];
    if (row.reset_slot) {
      slot = {};
      for (const TokenId token : row.output_tokens) slot.drawn += mix(static_cast<uint64_t>(token));
    }
    for (size_t i = 0; i < row.tokens.size(); ++i) {
      at(row, row.start + static_cast<int>(i)) =
          row.tokens[i] == kTokenFromDevice ? slot.last : row.tokens[i];
    }
  }

  SequenceOutput compute(const BatchSequence& row) {
    SequenceOutput output;
    output.request = row.request;
    std::vector<TokenId> history;
    for (int p = 0; p < row.start + static_cast<int>(row.tokens.size()); ++p) {
      history.push_back(at(row, p));
      const int offset = p - row.start;
      if (offset < row.logprob_begin || offset >= row.logprob_end) continue;
      const TokenId target = row.logprob_targets[static_cast<size_t>(offset - row.logprob_begin)];
      output.input_logprobs.push_back({.token = target, .logprob = logprob(history, target)});
    }
    if (!row.sample) return output;
    Slot& slot = slots_[static_cast<size_t>(row.slot)];
    slot.last =
        draw(hash_of(history), slot.drawn, *row.sampling.seed, row.num_generated, row.banned, vocab_size_);
    slot.drawn += mix(static_cast<uint64_t>(slot.last));
    output.tokens.push_back(slot.last);
    if (row.output_logprobs) {
      output.output_logprobs.push_back({.token = slot.last, .logprob = logprob(history, slot.last)});
    }
    return output;
  }

  const StepLimits limits_;
  const int vocab_size_;
  std::vector<TokenId> memory_;  // [pages * page_size]
  std::vector<Slot> slots_;
  int max_tokens_seen_ = 0;
};

}  // namespace musaic
