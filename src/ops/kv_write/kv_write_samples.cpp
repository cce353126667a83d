#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <random>

#include "ops/op_samples.h"

namespace musaic {
namespace {

constexpr int64_t kPages = 3;
constexpr int64_t kHeads = 2;
constexpr int64_t kPageSize = 8;
constexpr int64_t kHeadDim = 16;
constexpr int64_t kWidth = kHeads * kHeadDim;

// No two alike.
SampleInput slots_of(int64_t tokens) {
  std::vector<int32_t> slots(kPages * kPageSize);
  std::iota(slots.begin(), slots.end(), 0);
  std::shuffle(slots.begin(), slots.end(), std::mt19937(7));
  slots.resize(static_cast<size_t>(tokens));
  return sample_rows_of(HostTensor::ints(slots));
}

SampleInput rows_of(int64_t tokens, int64_t width, int64_t gap, uint32_t seed) {
  return sample_rows_of(HostTensor::random(DType::kF32, {tokens, width}, seed, 1, width + gap));
}

SampleInput cache_of(DType dtype, uint32_t seed) {
  return sample_fixed(HostTensor::random(dtype, {kPages, kHeads, kPageSize, kHeadDim}, seed));
}

}  // namespace

std::vector<OpSample> kv_write_samples() {
  std::vector<OpSample> samples;
  for (DType dtype : {DType::kF32, DType::kF16, DType::kBF16, DType::kF8E4M3}) {
    for (int64_t gap : {0, 5}) {
      for (int64_t tokens : kSampleRows) {
        samples.push_back({.name = fmt::format("{} tokens, gap {}, cache {}", tokens, gap, name(dtype)),
                           .inputs = {rows_of(tokens, kWidth, gap, 1), rows_of(tokens, kWidth, gap, 2),
                                      slots_of(tokens), cache_of(dtype, 3), cache_of(dtype, 4)},
                           .outputs = {}});
      }
    }
  }
  return samples;
}

std::vector<OpSample> rope_kv_write_samples() {
  std::vector<OpSample> samples;
  for (DType dtype : {DType::kF32, DType::kF16, DType::kBF16, DType::kF8E4M3}) {
    for (bool interleaved : {false, true}) {
      for (int64_t tokens : kSampleRows) {
        const int64_t gap = tokens == 7 ? 5 : 0;
        const int64_t rotated = interleaved ? kHeadDim : 10;
        samples.push_back({.name = fmt::format("{} tokens, gap {}{}, cache {}", tokens, gap,
                                               interleaved ? ", interleaved" : "", name(dtype)),
                           .inputs = {rows_of(tokens, 4 * kHeadDim, gap, 1), rows_of(tokens, kWidth, gap, 2),
                                      rows_of(tokens, kWidth, gap, 3), rows_of(tokens, rotated, gap, 4),
                                      slots_of(tokens), cache_of(dtype, 5), cache_of(dtype, 6)},
                           .attributes = {{"head_dim", kHeadDim}, {"interleaved", interleaved}},
                           .outputs = {}});
      }
    }
  }
  return samples;
}

}  // namespace musaic
