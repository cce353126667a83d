#pragma once

#include <algorithm>
#include <vector>

namespace musaic {

// The middle value; of an even count the mean of the two in the middle. REQUIRES: values is not empty.
inline double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

}  // namespace musaic
