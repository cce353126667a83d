#include "cli/divergence.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <thread>

#include "base/check.h"
#include "cli/median.h"

namespace musaic {
namespace {

struct Softmax {
  TokenId top = 0;
  double normalizer = 0.0;  // ln Σ exp(l)
};

Softmax softmax_of(std::span<const float> logits) {
  const auto top = std::max_element(logits.begin(), logits.end());
  double sum = 0.0;
  for (const float logit : logits) sum += std::exp(logit - *top);
  return {static_cast<TokenId>(top - logits.begin()), *top + std::log(sum)};
}

double perplexity(double sum_of_logprobs, int64_t count) {
  return count == 0 ? 0.0 : std::exp(-sum_of_logprobs / static_cast<double>(count));
}

}  // namespace

RowDivergence compare_rows(std::span<const float> reference, std::span<const float> other, TokenId target) {
  CHECK(reference.size() == other.size(), "{} and {} logits", reference.size(), other.size());
  const Softmax p = softmax_of(reference);
  const Softmax q = softmax_of(other);
  const double shift = q.normalizer - p.normalizer;
  double kld = 0.0;
  for (size_t i = 0; i < reference.size(); ++i) {
    const double probability = std::exp(static_cast<float>(reference[i] - p.normalizer));
    kld += probability * (static_cast<double>(reference[i]) - other[i] + shift);
  }
  RowDivergence row{.kld = std::max(kld, 0.0), .top = q.top, .reference_top = p.top};
  if (target >= 0) {
    row.target_logprob = other[static_cast<size_t>(target)] - q.normalizer;
    row.reference_target_logprob = reference[static_cast<size_t>(target)] - p.normalizer;
  }
  return row;
}

std::vector<RowDivergence> compare_row_blocks(const float* reference, const float* other, int vocab,
                                              std::span<const TokenId> targets, int num_threads) {
  const auto width = static_cast<size_t>(vocab);
  std::vector<RowDivergence> rows(targets.size());
  std::atomic<size_t> next = 0;
  const auto work = [&] {
    for (size_t i = next++; i < targets.size(); i = next++)
      rows[i] = compare_rows({reference + i * width, width}, {other + i * width, width}, targets[i]);
  };
  std::vector<std::jthread> threads;
  for (int i = 1; i < num_threads; ++i) threads.emplace_back(work);
  work();
  threads.clear();
  return rows;
}

DivergenceSummary summarize(std::span<const RowDivergence> rows) {
  std::vector<double> klds;
  double kld_sum = 0.0;
  double sum = 0.0;
  double reference_sum = 0.0;
  int64_t same_top = 0;
  int64_t targets = 0;
  for (const RowDivergence& row : rows) {
    klds.push_back(row.kld);
    kld_sum += row.kld;
    same_top += row.top == row.reference_top;
    targets += row.reference_target_logprob != 0.0;
    sum += row.target_logprob;
    reference_sum += row.reference_target_logprob;
  }
  const auto count = static_cast<double>(rows.size());
  std::sort(klds.begin(), klds.end());
  return {.positions = static_cast<int64_t>(rows.size()),
          .mean_kld = kld_sum / count,
          .median_kld = median(klds),
          .p99_kld = klds[static_cast<size_t>(0.99 * (count - 1))],
          .max_kld = klds.back(),
          .same_top_share = static_cast<double>(same_top) / count,
          .perplexity = perplexity(sum, targets),
          .reference_perplexity = perplexity(reference_sum, targets)};
}

}  // namespace musaic
