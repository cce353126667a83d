#include "program/explain/fold.h"

namespace musaic {
namespace {

// How often the `period` items at `begin` follow one another.
int count_repetitions(std::span<const int> items, int begin, int period) {
  const int size = static_cast<int>(items.size());
  int matching = 0;
  while (begin + period + matching < size && items[begin + matching] == items[begin + period + matching])
    ++matching;
  return 1 + matching / period;
}

Repeat longest_repeat(std::span<const int> items, int begin) {
  Repeat best{.begin = begin};
  const int half = (static_cast<int>(items.size()) - begin) / 2;
  for (int period = 1; period <= half; ++period) {
    const int count = count_repetitions(items, begin, period);
    if (count > 1 && period * count > best.end() - begin)
      best = {.begin = begin, .period = period, .count = count};
  }
  return best;
}

}  // namespace

std::vector<Repeat> fold(std::span<const int> items) {
  std::vector<Repeat> repeats;
  for (int i = 0; i < static_cast<int>(items.size());) {
    const Repeat next = longest_repeat(items, i);
    const bool continues = next.count == 1 && !repeats.empty() && repeats.back().count == 1;
    if (continues) {
      ++repeats.back().period;
    } else {
      repeats.push_back(next);
    }
    i = next.end();
  }
  return repeats;
}

}  // namespace musaic
