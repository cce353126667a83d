#pragma once

#include <span>
#include <vector>

namespace musaic {

// Items [begin, begin + period), `count` times in a row.
struct Repeat {
  int begin = 0;
  int period = 1;
  int count = 1;

  int end() const { return begin + period * count; }
  bool operator==(const Repeat&) const = default;
};

// Cuts a sequence into stretches that repeat and stretches that do not: 1 2 3 2 3 4 → [1] 2 × [2 3] [4].
// At each place the repetition that covers most is taken.
std::vector<Repeat> fold(std::span<const int> items);

}  // namespace musaic
