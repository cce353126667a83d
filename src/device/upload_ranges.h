#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace musaic {

// What an upload brings of a block of memory.
struct UploadRange {
  size_t first;  // in bytes
  size_t bytes;
};

inline constexpr size_t kMostBetween = size_t{16} << 10;  // takes less time than a copy of its own

// The same in few copies, in ascending order: ranges with at most kMostBetween bytes between them are one,
// with these bytes. REQUIRES of an upload by them: the block holds on both sides what is between ranges, or
// nobody reads it before it is written again.
std::vector<UploadRange> joined_ranges(std::span<const UploadRange> ranges);

}  // namespace musaic
