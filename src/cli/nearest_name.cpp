#include "cli/nearest_name.h"

#include <algorithm>
#include <numeric>
#include <vector>

namespace musaic {
namespace {

// Levenshtein's, by rows.
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t substituted = diagonal + (a[i] != b[j]);
      diagonal = row[j + 1];
      row[j + 1] = std::min({row[j] + 1, row[j + 1] + 1, substituted});
    }
  }
  return row.back();
}

}  // namespace

std::string nearest_name(std::string_view unknown, std::span<const std::string> known) {
  std::string nearest;
  size_t best = std::max<size_t>(2, unknown.size() / 2);
  for (const std::string& name : known) {
    const size_t distance = edit_distance(unknown, name);
    if (distance < best) {
      best = distance;
      nearest = name;
    }
  }
  return nearest;
}

}  // namespace musaic
