#pragma once

#include <cstdint>

#include "backends/cpu/rows.h"

namespace musaic {

// The grouped rows of a call, read when the work runs.
struct ExpertRowsCpu {
  const int32_t* row_token;  // nullptr: x is grouped
  const int32_t* start;
  const int32_t* count;
  int64_t num_experts;

  static ExpertRowsCpu of(const Tensor& row_token, const Tensor& start, const Tensor& count) {
    return {row_token.as<const int32_t>(), start.as<const int32_t>(), count.as<const int32_t>(),
            count.shape[0]};
  }

  // Calls visit(row) for the worker's share of all rows of experts.
  template <class Visit>
  void for_each_row(const Worker& worker, const Visit& visit) const {
    int64_t total = 0;
    for (int64_t e = 0; e < num_experts; ++e) total += count[e];
    const IndexRange range = share_of(worker, total);
    int64_t before = 0;
    for (int64_t e = 0; e < num_experts; before += count[e], ++e) {
      const int64_t begin = std::max<int64_t>(0, range.begin - before);
      const int64_t end = std::min<int64_t>(count[e], range.end - before);
      for (int64_t i = begin; i < end; ++i) visit(start[e] + i);
    }
  }
};

}  // namespace musaic
