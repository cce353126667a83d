#include "program/buckets.h"

#include <algorithm>

namespace musaic {
namespace {

constexpr struct {
  int last;
  int step;
} kExtendSteps[] = {{32, 4}, {256, 16}, {512, 32}, {1024, 64}, {4096, 256}};
constexpr int kStepBeyond = 512;

int step_after(int tokens) {
  for (const auto& range : kExtendSteps) {
    if (tokens < range.last) return range.step;
  }
  return kStepBeyond;
}

}  // namespace

std::vector<int> extend_buckets(int max_tokens) {
  std::vector<int> buckets;
  for (int tokens = step_after(0); tokens < max_tokens; tokens += step_after(tokens))
    buckets.push_back(tokens);
  buckets.push_back(max_tokens);
  return buckets;
}

std::vector<int> decode_buckets(std::span<const int> asked, int default_max, int max_sequences) {
  std::vector<int> buckets(asked.begin(), asked.end());
  if (buckets.empty()) {
    buckets = {1, 2, 4, 8, 12};
    for (int size = 16; size <= default_max; size += 8) buckets.push_back(size);
    buckets.push_back(std::min(default_max, max_sequences));
  }
  std::sort(buckets.begin(), buckets.end());
  buckets.erase(std::unique(buckets.begin(), buckets.end()), buckets.end());
  std::erase_if(buckets, [&](int size) { return size < 1 || size > max_sequences; });
  return buckets;
}

std::vector<int> head_buckets(int max_rows) {
  std::vector<int> buckets = {1};
  while (buckets.back() < max_rows) buckets.push_back(std::min(2 * buckets.back(), max_rows));
  return buckets;
}

std::vector<int> capture_order(std::span<const int> buckets) {
  std::vector<int> sorted(buckets.begin(), buckets.end());
  std::sort(sorted.rbegin(), sorted.rend());
  std::vector<int> chain;
  std::vector<int> rest;
  for (int size : sorted) {
    const bool is_link = chain.empty() || size * 2 <= chain.back();
    (is_link ? chain : rest).push_back(size);
  }
  chain.insert(chain.end(), rest.begin(), rest.end());
  return chain;
}

int bucket_for(std::span<const int> buckets, int size) {
  const auto found = std::lower_bound(buckets.begin(), buckets.end(), size);
  return found == buckets.end() ? -1 : *found;
}

}  // namespace musaic
