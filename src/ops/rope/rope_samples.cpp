#include <fmt/format.h>

#include "ops/op_samples.h"

namespace musaic {

std::vector<OpSample> rope_cos_sin_samples() {
  std::vector<OpSample> samples;
  for (int64_t pairs : {1, 5, 16}) {
    for (int64_t tokens : kSampleRows) {
      const auto positions = HostTensor::random_ints(DType::kI32, {tokens}, 1, 0, 1 << 20);
      const auto inv_freq = HostTensor::random(DType::kF32, {pairs}, 2);
      samples.push_back({.name = fmt::format("{} tokens, {} pairs", tokens, pairs),
                         .inputs = {sample_rows_of(positions), sample_fixed(inv_freq)},
                         .attributes = {{"attention_factor", pairs == 5 ? 1.25 : 1.0}},
                         .outputs = {{DType::kF32, {tokens, 2 * pairs}}}});
    }
  }
  return samples;
}

std::vector<OpSample> rope_samples() {
  constexpr int64_t kHeadDim = 24;
  std::vector<OpSample> samples;
  for (bool interleaved : {false, true}) {
    for (int64_t rotated : {10, 24}) {
      for (int64_t tokens : kSampleRows) {
        const int64_t gap = tokens == 7 ? 5 : 0;
        const int64_t width = 3 * kHeadDim;
        samples.push_back(
            {.name = fmt::format("{} tokens, {} of {} rotated{}, gap {}", tokens, rotated, kHeadDim,
                                 interleaved ? ", interleaved" : "", gap),
             .inputs = {sample_rows_of(HostTensor::random(DType::kF32, {tokens, width}, 1, 1, width + gap)),
                        sample_rows_of(
                            HostTensor::random(DType::kF32, {tokens, rotated}, 2, 1, rotated + gap))},
             .attributes = {{"head_dim", kHeadDim}, {"interleaved", interleaved}},
             .outputs = {}});
      }
    }
  }
  return samples;
}

}  // namespace musaic
