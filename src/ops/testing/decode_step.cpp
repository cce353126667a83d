#include "ops/testing/decode_step.h"

#include <numeric>

namespace musaic::testing {

std::vector<int> one_text_each(size_t sequences) {
  std::vector<int> ids(sequences);
  std::iota(ids.begin(), ids.end(), 0);
  return ids;
}

TestTensor rows_of_texts(const std::vector<int>& ids, int width, uint32_t seed, float scale) {
  std::vector<float> values;
  for (int id : ids) {
    const auto row =
        TestTensor::random(DType::kF32, {1, width}, seed + 100 * static_cast<uint32_t>(id), scale);
    const std::vector<float> of_text = row.to_floats();
    values.insert(values.end(), of_text.begin(), of_text.end());
  }
  return TestTensor::floats(values, {static_cast<int64_t>(ids.size()), width});
}

DecodePages::DecodePages(const std::vector<int32_t>& kv_lengths, const std::vector<int>& ids,
                         int32_t pages_of_text, int32_t page_size)
    : query_start(kv_lengths.size() + 1) {
  std::iota(query_start.begin(), query_start.end(), 0);
  for (size_t s = 0; s < kv_lengths.size(); ++s) {
    const int32_t first = ids[s] * pages_of_text, last = kv_lengths[s] - 1;
    for (int32_t page = 0; page < pages_of_text; ++page)
      pages.push_back(first + (page * 7 + 3) % pages_of_text);
    slots.push_back((first + (last / page_size * 7 + 3) % pages_of_text) * page_size + last % page_size);
  }
}

}  // namespace musaic::testing
