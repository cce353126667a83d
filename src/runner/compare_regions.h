#pragma once

#include <optional>
#include <string>

#include "runner/state_regions.h"

namespace musaic {

// How far two copies of the same values are apart.
struct Difference {
  std::string value;        // the one that differs most
  double largest = 0.0;     // of |a - b|; infinite where one of the two is no number
  size_t num_elements = 0;  // that differ, over all values
};

// Compares copies of the same regions bit for bit; nullopt when nothing differs. With `tolerance` > 0 only
// floats are compared, and may differ by that share of the value's largest magnitude in `expected`.
std::optional<Difference> compare(const RegionCopy& got, const RegionCopy& expected, double tolerance);

}  // namespace musaic
