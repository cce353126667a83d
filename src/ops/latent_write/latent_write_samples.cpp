#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <random>

#include "ops/op_samples.h"

namespace musaic {

std::vector<OpSample> rope_latent_write_samples() {
  constexpr int64_t kPages = 3, kPageSize = 8, kRank = 20, kRotated = 6, kHeadDim = 13, kHeads = 3;
  std::vector<int32_t> slots(kPages * kPageSize);
  std::iota(slots.begin(), slots.end(), 0);
  std::shuffle(slots.begin(), slots.end(), std::mt19937(7));
  std::vector<OpSample> samples;
  for (DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    for (bool interleaved : {true, false}) {
      for (int64_t tokens : kSampleRows) {
        const int64_t gap = tokens == 7 ? 5 : 0;
        const auto rows = [&](int64_t width, uint32_t seed) {
          return sample_rows_of(HostTensor::random(DType::kF32, {tokens, width}, seed, 1, width + gap));
        };
        const std::vector<int32_t> own(slots.begin(), slots.begin() + tokens);
        const Shape cache = {kPages, 1, kPageSize, kRank + kRotated};
        samples.push_back({.name = fmt::format("{} tokens, gap {}{}, cache {}", tokens, gap,
                                               interleaved ? ", interleaved" : "", name(dtype)),
                           .inputs = {rows(kHeads * kHeadDim, 1), rows(kRank, 2), rows(kRotated, 3),
                                      rows(kRotated, 4), sample_rows_of(HostTensor::ints(own)),
                                      sample_fixed(HostTensor::random(dtype, cache, 5))},
                           .attributes = {{"head_dim", kHeadDim}, {"interleaved", interleaved}},
                           .outputs = {}});
      }
    }
  }
  return samples;
}

}  // namespace musaic
