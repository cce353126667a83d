#include "metrics/step_counts.h"

#include <algorithm>

namespace musaic {
namespace {

int pad_rows(const StepRecord& record) {
  return std::max(0, record.bucket - record.tokens);
}

}  // namespace

void StepCounts::add(const StepRecord& record) {
  StepCount& count = counts_[Key(record.kind, record.replayed, record.bucket, record.reason)];
  const StepRecord sums = count.record;
  count.record = record;
  count.record.tokens += sums.tokens;
  count.record.seconds += sums.seconds;
  count.steps += 1;
  count.pad_rows += static_cast<uint64_t>(pad_rows(record));
}

std::vector<StepCount> StepCounts::list() const {
  std::vector<StepCount> list;
  list.reserve(counts_.size());
  for (const auto& [key, count] : counts_) list.push_back(count);
  return list;
}

}  // namespace musaic
