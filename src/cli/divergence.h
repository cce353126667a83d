#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "request/request.h"

namespace musaic {

// How one position's distribution differs from the reference's.
struct RowDivergence {
  double kld = 0.0;  // of the reference from the other: Σ p (ln p - ln q), in nats
  TokenId top = 0;   // the other's most likely token
  TokenId reference_top = 0;
  double target_logprob = 0.0;  // of the token that follows; 0 when none does
  double reference_target_logprob = 0.0;
};

// `target` -1: nothing follows. REQUIRES: both rows have one length and finite logits.
RowDivergence compare_rows(std::span<const float> reference, std::span<const float> other, TokenId target);

// compare_rows for consecutive rows of `vocab` logits on several threads; one result a target.
std::vector<RowDivergence> compare_row_blocks(const float* reference, const float* other, int vocab,
                                              std::span<const TokenId> targets, int num_threads);

// Over all positions compared.
struct DivergenceSummary {
  int64_t positions = 0;
  double mean_kld = 0.0;
  double median_kld = 0.0;
  double p99_kld = 0.0;
  double max_kld = 0.0;
  double same_top_share = 0.0;
  double perplexity = 0.0;
  double reference_perplexity = 0.0;
};

// REQUIRES: rows is not empty.
DivergenceSummary summarize(std::span<const RowDivergence> rows);

}  // namespace musaic
