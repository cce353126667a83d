#pragma once

#include <functional>
#include <numeric>
#include <span>
#include <vector>

#include "request/batch.h"

namespace musaic {

inline int pages_for(int tokens, int page_size) {
  return (tokens + page_size - 1) / page_size;
}

// `count` consecutive pages.
inline std::vector<int32_t> page_run(int first, int count) {
  std::vector<int32_t> pages(static_cast<size_t>(count));
  std::iota(pages.begin(), pages.end(), first);
  return pages;
}

// A step that runs tokens of one sequence that has `start` behind it and asks for the logits of every row;
// `following[i]` comes after tokens[i].
inline Batch prompt_step(std::span<const TokenId> tokens, int start, std::vector<TokenId> following,
                         std::vector<int32_t> pages) {
  BatchSequence sequence{.request = 1, .tokens = {tokens.begin(), tokens.end()}, .start = start};
  sequence.pages = std::move(pages);
  sequence.reset_slot = start == 0;
  sequence.logprob_end = static_cast<int>(following.size());
  sequence.logprob_targets = std::move(following);
  return {.kind = StepKind::kExtend, .sequences = {std::move(sequence)}};
}

}  // namespace musaic
