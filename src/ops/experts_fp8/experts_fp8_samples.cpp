#include "ops/experts_fp8/experts_fp8_samples.h"

#include <fmt/format.h>

#include "ops/op_samples.h"

namespace musaic {
namespace {

constexpr int64_t kExperts = 3;
constexpr int64_t kGroup = 128;
// The last three fill more than one tile of rows, the last one wide ones.
constexpr std::initializer_list<int64_t> kRows = {0, 1, 7, 40, 150, 600};

// Each row meets one expert: the first half expert 0, nobody expert 1.
struct Groups {
  SampleInput row_token;
  SampleInput token_row;
  SampleInput start;
  SampleInput count;

  explicit Groups(int64_t rows) {
    const auto all = static_cast<int32_t>(rows), first = all / 2;
    std::vector<int32_t> tokens;
    for (int32_t row = 0; row < all; ++row) tokens.push_back(all - 1 - row);
    row_token = sample_rows_of(HostTensor::ints(tokens));
    token_row = sample_rows_of(HostTensor::ints(tokens, {rows, 1}));
    start = sample_fixed(HostTensor::ints({0, first, first}));
    count = sample_fixed(HostTensor::ints({first, 0, all - first}));
  }
};

SampleInput f8_rows(int64_t rows, int64_t width, uint32_t seed) {
  return sample_rows_of(HostTensor::random(DType::kF8E4M3, {rows, width}, seed, 100));
}
SampleInput scale_rows(int64_t rows, int64_t width, uint32_t seed) {
  return sample_rows_of(HostTensor::random(DType::kF32, {rows, width / kGroup}, seed));
}
SampleInput f8(const Shape& shape, uint32_t seed) {
  return sample_fixed(HostTensor::random(DType::kF8E4M3, shape, seed, 100));
}
SampleInput f32(const Shape& shape, uint32_t seed) {
  return sample_fixed(HostTensor::random(DType::kF32, shape, seed));
}

}  // namespace

std::vector<OpSample> experts_gate_up_fp8_samples() {
  constexpr int64_t kIn = 3 * kGroup, kOut = kGroup, kShared = 2 * kGroup;
  std::vector<OpSample> samples;
  for (int64_t rows : kRows) {
    const Groups groups(rows);
    samples.push_back({.name = fmt::format("{} rows of {}", rows, kIn),
                       .inputs = {f8_rows(rows, kIn, 1), scale_rows(rows, kIn, 2), groups.row_token,
                                  groups.start, groups.count, f8({kExperts, 2 * kOut, kIn}, 3),
                                  f32({kExperts, 2 * kOut / kGroup, kIn / kGroup}, 4),
                                  f8({2 * kShared, kIn}, 5), f32({2 * kShared / kGroup, kIn / kGroup}, 6)},
                       .outputs = {{DType::kF8E4M3, {rows, kOut}},
                                   {DType::kF32, {rows, kOut / kGroup}},
                                   {DType::kF8E4M3, {rows, kShared}},
                                   {DType::kF32, {rows, kShared / kGroup}}},
                       .live_rows = static_cast<int32_t>(rows)});
  }
  return samples;
}

std::vector<OpSample> experts_down_fp8_samples() {
  constexpr int64_t kIn = kGroup, kSharedIn = 2 * kGroup, kOut = 140;
  std::vector<OpSample> samples;
  for (int64_t rows : kRows) {
    const Groups groups(rows);
    samples.push_back({.name = fmt::format("{} rows of {} and {}", rows, kIn, kSharedIn),
                       .inputs = {f8_rows(rows, kIn, 1), scale_rows(rows, kIn, 2), groups.start, groups.count,
                                  f8({kExperts, kOut, kIn}, 3), f32({kExperts, 2, kIn / kGroup}, 4),
                                  f8_rows(rows, kSharedIn, 5), scale_rows(rows, kSharedIn, 6),
                                  f8({kOut, kSharedIn}, 7), f32({2, kSharedIn / kGroup}, 8)},
                       .outputs = {{DType::kF32, {rows, kOut}}, {DType::kF32, {rows, kOut}}},
                       .live_rows = static_cast<int32_t>(rows)});
  }
  return samples;
}

namespace {

// What experts_fp8 takes, with results of `width` columns.
std::vector<SampleInput> experts_fp8_inputs(int64_t rows, int64_t width) {
  constexpr int64_t kIn = 3 * kGroup, kWidth = 2 * kGroup, kShared = kGroup;
  const Groups groups(rows);
  return {f8_rows(rows, kIn, 1),
          scale_rows(rows, kIn, 2),
          groups.row_token,
          groups.start,
          groups.count,
          f8({kExperts, 2 * kWidth, kIn}, 3),
          f32({kExperts, 2 * kWidth / kGroup, kIn / kGroup}, 4),
          f8({2 * kShared, kIn}, 5),
          f32({2 * kShared / kGroup, kIn / kGroup}, 6),
          f8({kExperts, width, kWidth}, 7),
          f32({kExperts, 2, kWidth / kGroup}, 8),
          f8({width, kShared}, 9),
          f32({2, kShared / kGroup}, 10)};
}

}  // namespace

std::vector<OpSample> experts_fp8_samples() {
  constexpr int64_t kOut = 140;
  std::vector<OpSample> samples;
  for (int64_t rows : kRows) {
    samples.push_back({.name = fmt::format("{} rows", rows),
                       .inputs = experts_fp8_inputs(rows, kOut),
                       .outputs = {{DType::kF32, {rows, kOut}}, {DType::kF32, {rows, kOut}}},
                       .live_rows = static_cast<int32_t>(rows)});
  }
  return samples;
}

// Rows of 140 results begin where they cannot be copied as a whole.
std::vector<OpSample> experts_norm_fp8_samples() {
  std::vector<OpSample> samples;
  for (int64_t rows : kRows) {
    for (int64_t width : {136, 140}) {
      OpSample sample = {.name = fmt::format("{} rows of {}", rows, width),
                         .inputs = experts_fp8_inputs(rows, width),
                         .attributes = {{"eps", 1e-5}},
                         .outputs = {{DType::kF8E4M3, {rows, width}}, {DType::kF32, {rows, 2}}},
                         .live_rows = static_cast<int32_t>(rows)};
      for (SampleInput& input :
           std::vector{Groups(rows).token_row, sample_rows_of(HostTensor::random(DType::kF32, {rows, 1}, 11)),
                       sample_rows_of(HostTensor::random(DType::kF32, {rows, width}, 12, 3, width + 8)),
                       sample_fixed(HostTensor::random(DType::kBF16, {width}, 13))})
        sample.inputs.push_back(std::move(input));
      samples.push_back(std::move(sample));
    }
  }
  return samples;
}

}  // namespace musaic
