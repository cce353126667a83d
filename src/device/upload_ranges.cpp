#include "device/upload_ranges.h"

#include <algorithm>

namespace musaic {

std::vector<UploadRange> joined_ranges(std::span<const UploadRange> ranges) {
  std::vector<UploadRange> sorted(ranges.begin(), ranges.end());
  std::ranges::sort(sorted, {}, &UploadRange::first);
  std::vector<UploadRange> joined;
  for (const UploadRange& range : sorted) {
    const size_t end = joined.empty() ? 0 : joined.back().first + joined.back().bytes;
    if (joined.empty() || range.first > end + kMostBetween) {
      joined.push_back(range);
    } else {
      joined.back().bytes = std::max(end, range.first + range.bytes) - joined.back().first;
    }
  }
  return joined;
}

}  // namespace musaic
