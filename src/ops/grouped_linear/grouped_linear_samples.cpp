#include <fmt/format.h>

#include <numeric>

#include "ops/op_samples.h"

namespace musaic {
namespace {

constexpr int64_t kExperts = 3;

// Rows of expert 0, none of expert 1, the rest of expert 2, a gap between them and one row of nobody behind.
struct Groups {
  SampleInput start;
  SampleInput count;
  int64_t rows;
};

Groups groups_of(int64_t live) {
  const auto first = static_cast<int32_t>(live / 2), last = static_cast<int32_t>(live) - first;
  const bool has_gap = live > 2;
  return {sample_fixed(HostTensor::ints({0, first, has_gap ? first + 2 : first})),
          sample_fixed(HostTensor::ints({first, 0, last})), live + (has_gap ? 3 : 0)};
}

// The token of every grouped row, the last token first; a wild one where there is no row of an expert.
SampleInput tokens_of(const Groups& groups, int64_t tokens) {
  std::vector<int32_t> row_token(static_cast<size_t>(groups.rows), 1 << 30);
  const std::vector<float> start = groups.start.tensor.to_floats(), count = groups.count.tensor.to_floats();
  auto token = static_cast<int32_t>(tokens);
  for (size_t e = 0; e < start.size(); ++e) {
    for (int i = 0; i < static_cast<int>(count[e]); ++i)
      row_token[static_cast<size_t>(start[e]) + static_cast<size_t>(i)] = token =
          token == 0 ? static_cast<int32_t>(tokens) - 1 : token - 1;
  }
  return sample_rows_of(HostTensor::ints(row_token));
}

OpSample base_sample(const std::string& what, const Groups& groups, int64_t n) {
  return {.name = what,
          .inputs = {},
          .outputs = {{DType::kF32, {groups.rows, n}}},
          .live_rows = static_cast<int32_t>(groups.rows),
          .partial = true};
}

}  // namespace

std::vector<OpSample> grouped_linear_samples() {
  constexpr int64_t kIn = 37, kOut = 19;
  std::vector<OpSample> samples;
  for (DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    for (int64_t live : kSampleRows) {
      const Groups groups = groups_of(live);
      const auto weight = sample_fixed(HostTensor::random(dtype, {kExperts, kOut, kIn}, 2));
      OpSample grouped = base_sample(fmt::format("{} rows, weight {}", live, name(dtype)), groups, kOut);
      grouped.inputs = {sample_rows_of(HostTensor::random(DType::kF32, {groups.rows, kIn}, 1)),
                        {},
                        groups.start,
                        groups.count,
                        weight};
      OpSample by_token =
          base_sample(fmt::format("{} rows of 4 tokens, weight {}", live, name(dtype)), groups, kOut);
      by_token.inputs = {sample_fixed(HostTensor::random(DType::kF32, {4, kIn}, 1)), tokens_of(groups, 4),
                         groups.start, groups.count, weight};
      samples.push_back(std::move(grouped));
      samples.push_back(std::move(by_token));
    }
  }
  return samples;
}

std::vector<OpSample> grouped_linear_fp8_samples() {
  std::vector<OpSample> samples;
  const auto f8 = [](const Shape& shape, uint32_t seed) {
    return HostTensor::random(DType::kF8E4M3, shape, seed, 100);
  };
  const auto f32 = [](const Shape& shape, uint32_t seed) {
    return HostTensor::random(DType::kF32, shape, seed);
  };
  struct Size {
    int64_t parts, in, out;
  };
  for (const auto& [parts, kIn, kOut] : {Size{1, 140, 38}, Size{2, 140, 38}, Size{2, 256, 40}}) {
    for (int64_t live : kSampleRows) {
      const Groups groups = groups_of(live);
      const SampleInput weight = sample_fixed(f8({kExperts, kOut, kIn}, 2));
      const SampleInput scale = sample_fixed(f32({kExperts, parts, 2}, 3));
      OpSample grouped = base_sample(fmt::format("{} rows, {} parts", live, parts), groups, kOut);
      grouped.inputs = {sample_rows_of(f8({groups.rows, kIn}, 1)),
                        sample_rows_of(f32({groups.rows, 2}, 4)),
                        {},
                        groups.start,
                        groups.count,
                        weight,
                        scale};
      OpSample by_token =
          base_sample(fmt::format("{} rows of 4 tokens, {} parts", live, parts), groups, kOut);
      by_token.inputs = {sample_fixed(f8({4, kIn}, 1)),
                         sample_fixed(f32({4, 2}, 4)),
                         tokens_of(groups, 4),
                         groups.start,
                         groups.count,
                         weight,
                         scale};
      for (OpSample* sample : {&grouped, &by_token}) {
        sample->attributes = {{"parts", parts}};
        samples.push_back(std::move(*sample));
      }
    }
  }
  return samples;
}

}  // namespace musaic
