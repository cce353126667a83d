#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "request/batch.h"

namespace musaic {

// Steps of one (kind, mode, bucket, reason), for /metrics and /server_info.
struct StepCount {
  StepRecord record;  // tokens and seconds: sums over the steps
  uint64_t steps = 0;
  uint64_t pad_rows = 0;
};

// Sums step records by (kind, mode, bucket, reason). Not thread-safe: the owner guards it.
class StepCounts {
 public:
  void add(const StepRecord& record);
  std::vector<StepCount> list() const;  // ordered by kind, mode, bucket, reason

 private:
  using Key = std::tuple<StepKind, bool, int, std::string>;
  std::map<Key, StepCount> counts_;
};

}  // namespace musaic
