#include <fmt/format.h>

#include "ops/op_samples.h"

namespace musaic {
namespace {

constexpr int64_t kMaxBias = 3;
constexpr int64_t kSlots = 8;

SampleInput floats(int64_t rows, float value) {
  return sample_rows_of(HostTensor::floats(std::vector<float>(static_cast<size_t>(rows), value), {rows}));
}

SampleInput ints(int64_t rows, int64_t low, int64_t high, uint32_t seed) {
  return sample_rows_of(HostTensor::random_ints(DType::kI32, {rows}, seed, low, high));
}

// Each row counts in a slot of its own; without: no row counts.
SampleInput slots(int64_t rows, bool counting) {
  std::vector<int32_t> slots;
  for (int64_t i = 0; i < rows; ++i) slots.push_back(counting ? static_cast<int32_t>(kSlots - 1 - i) : -1);
  return sample_rows_of(HostTensor::ints(slots));
}

struct SampleParameters {
  const char* what;
  float temperature;
  int64_t top_k;
  float top_p;
  float min_p;
  bool penalties;
};

OpSample sample_sample(int64_t rows, int64_t vocab, const SampleParameters& parameters) {
  const auto logits =
      HostTensor::random(DType::kF32, {rows, vocab}, 1, 6, parameters.penalties ? vocab + 5 : 0);
  const bool penalties = parameters.penalties;
  return {.name = fmt::format("{} rows of {}, {}", rows, vocab, parameters.what),
          .inputs = {sample_rows_of(logits), floats(rows, parameters.temperature),
                     ints(rows, parameters.top_k, parameters.top_k, 2), floats(rows, parameters.top_p),
                     floats(rows, parameters.min_p),
                     sample_rows_of(HostTensor::random_ints(DType::kI64, {rows}, 3, 0, int64_t{1} << 40)),
                     ints(rows, 0, 1000, 4), floats(rows, penalties ? 0.5f : 0.0f),
                     floats(rows, penalties ? 0.25f : 0.0f), floats(rows, penalties ? 1.5f : 1.0f),
                     slots(rows, penalties), ints(rows, 0, penalties ? kMaxBias : 0, 5),
                     sample_rows_of(HostTensor::random_ints(DType::kI32, {rows, kMaxBias}, 6, -1, vocab)),
                     sample_rows_of(HostTensor::random(DType::kF32, {rows, kMaxBias}, 7, 4)),
                     sample_fixed(HostTensor::random_ints(DType::kI32, {kSlots, vocab}, 8, 0, 2))},
          .outputs = {{DType::kI32, {rows}}}};
}

}  // namespace

std::vector<OpSample> sample_samples() {
  constexpr SampleParameters kParameters[] = {{"greedy", 0, -1, 1, 0, false},
                                              {"temperature", 1.5f, -1, 1, 0, false},
                                              {"top-k, top-p, min-p", 0.8f, 20, 0.9f, 0.05f, false},
                                              {"penalties and bias, gaps", 0.8f, 0, 0.95f, 0, true}};
  std::vector<OpSample> samples;
  for (const SampleParameters& parameters : kParameters) {
    for (int64_t vocab : {1, 301}) {
      for (int64_t rows : kSampleRows) samples.push_back(sample_sample(rows, vocab, parameters));
    }
  }
  return samples;
}

}  // namespace musaic
