#include <fmt/format.h>

#include "ops/op_samples.h"

namespace musaic {
namespace {

constexpr int64_t kMaxTopN = 4;
constexpr int64_t kMaxProbes = 3;

SampleInput counts(int64_t rows, int64_t low, int64_t high, uint32_t seed) {
  return sample_rows_of(HostTensor::random_ints(DType::kI32, {rows}, seed, low, high));
}

// `full`: every row asks for all that there is room for, else for any number of it.
OpSample logprobs_sample(int64_t rows, int64_t vocab, bool full) {
  const auto logits = HostTensor::random(DType::kF32, {rows, vocab}, 1, 8, full ? 0 : vocab + 5);
  const auto probes = HostTensor::random_ints(DType::kI32, {rows, kMaxProbes}, 2, -1, vocab);
  return {.name = fmt::format("{} rows of {}{}", rows, vocab, full ? "" : ", some entries, gaps"),
          .inputs = {sample_rows_of(logits), counts(rows, -1, vocab - 1, 3),
                     counts(rows, full ? kMaxTopN : 0, kMaxTopN, 4),
                     counts(rows, full ? kMaxProbes : 0, kMaxProbes, 5), sample_rows_of(probes)},
          .attributes = {{"max_top_n", kMaxTopN}},
          .outputs = {{DType::kF32, {rows}},
                      {DType::kI32, {rows, kMaxTopN}},
                      {DType::kF32, {rows, kMaxTopN}},
                      {DType::kF32, {rows, kMaxProbes}}},
          .partial = !full};
}

}  // namespace

std::vector<OpSample> logprobs_samples() {
  std::vector<OpSample> samples;
  for (int64_t vocab : {7, 301}) {
    for (int64_t rows : kSampleRows) {
      samples.push_back(logprobs_sample(rows, vocab, true));
      samples.push_back(logprobs_sample(rows, vocab, false));
    }
  }
  return samples;
}

}  // namespace musaic
