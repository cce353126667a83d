#include "cli/divergence.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace musaic {
namespace {

std::vector<float> logs(std::vector<double> probabilities, double shift) {
  std::vector<float> logits;
  for (double probability : probabilities)
    logits.push_back(static_cast<float>(std::log(probability) + shift));
  return logits;
}

TEST(Divergence, IsTheSumOverTheReferencesProbabilities) {
  const auto reference = logs({0.5, 0.25, 0.25}, 7.0);
  const auto other = logs({0.25, 0.5, 0.25}, -3.0);
  const RowDivergence row = compare_rows(reference, other, 1);
  EXPECT_NEAR(row.kld, 0.5 * std::log(2.0) - 0.25 * std::log(2.0), 1e-6);
  EXPECT_EQ(row.reference_top, 0);
  EXPECT_EQ(row.top, 1);
  EXPECT_NEAR(row.target_logprob, std::log(0.5), 1e-6);
  EXPECT_NEAR(row.reference_target_logprob, std::log(0.25), 1e-6);
}

TEST(Divergence, OfARowFromItselfIsZero) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0.0f, 4.0f);
  std::vector<float> logits(50000);
  for (float& logit : logits) logit = normal(random);
  EXPECT_NEAR(compare_rows(logits, logits, -1).kld, 0.0, 1e-9);
}

TEST(Divergence, OfBlocksKeepsTheOrderOfTheRows) {
  std::vector<float> reference, other;
  std::vector<TokenId> targets;
  for (int i = 0; i < 40; ++i) {
    for (int j = 0; j < 3; ++j) {
      reference.push_back(static_cast<float>(j));
      other.push_back(static_cast<float>(j) * (1.0f + 0.1f * static_cast<float>(i)));
    }
    targets.push_back(i % 3);
  }
  const auto rows = compare_row_blocks(reference.data(), other.data(), 3, targets, 4);
  for (size_t i = 0; i < rows.size(); ++i) {
    const auto alone = compare_rows({&reference[i * 3], 3}, {&other[i * 3], 3}, targets[i]);
    EXPECT_EQ(rows[i].kld, alone.kld);
    EXPECT_EQ(rows[i].target_logprob, alone.target_logprob);
  }
}

TEST(Divergence, SummaryCountsTopsAndLeavesRowsWithoutATargetOutOfThePerplexity) {
  const double half = std::log(0.5);
  const std::vector<RowDivergence> rows = {
      {.kld = 0.0,
       .top = 1,
       .reference_top = 1,
       .target_logprob = half,
       .reference_target_logprob = 2 * half},
      {.kld = 0.1,
       .top = 1,
       .reference_top = 2,
       .target_logprob = half,
       .reference_target_logprob = 2 * half},
      {.kld = 0.5, .top = 3, .reference_top = 3},
  };
  const DivergenceSummary summary = summarize(rows);
  EXPECT_EQ(summary.positions, 3);
  EXPECT_NEAR(summary.mean_kld, 0.2, 1e-12);
  EXPECT_EQ(summary.median_kld, 0.1);
  EXPECT_EQ(summary.max_kld, 0.5);
  EXPECT_NEAR(summary.same_top_share, 2.0 / 3.0, 1e-12);
  EXPECT_NEAR(summary.perplexity, 2.0, 1e-12);
  EXPECT_NEAR(summary.reference_perplexity, 4.0, 1e-12);
}

}  // namespace
}  // namespace musaic
