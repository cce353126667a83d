#include "weights/weight_source.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>

#include "base/status.h"

namespace musaic {
namespace {

// The number of letters to insert, delete or replace to get from one name to the other.
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i + 1);
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, diagonal + 1});
    }
  }
  return row.back();
}

// By the names of the file.
std::string nearest_name(const WeightSource& source, std::string_view name) {
  std::string nearest;
  size_t least = std::numeric_limits<size_t>::max();
  for (const std::string& other : source.names()) {
    const std::string candidate = source.name_in_file(other);
    const size_t distance = edit_distance(candidate, name);
    if (distance >= least) continue;
    least = distance;
    nearest = "`" + candidate + "`";
  }
  return nearest.empty() ? "no tensor at all" : nearest;
}

}  // namespace

const WeightTensor& require_weight(const WeightSource& source, std::string_view name, const Shape& expected) {
  const WeightTensor* tensor = source.find(name);
  if (tensor == nullptr) {
    const std::string missing = source.name_in_file(name);
    fail_load("{}: tensor `{}` of shape {} is missing, the nearest is {}", source.origin(), missing,
              to_string(expected), nearest_name(source, missing));
  }
  if (!(tensor->shape == expected)) {
    fail_load("{}: tensor `{}` has shape {}, expected {}", source.origin(), tensor->source_name,
              to_string(tensor->shape), to_string(expected));
  }
  return *tensor;
}

}  // namespace musaic
