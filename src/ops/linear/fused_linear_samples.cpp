#include <fmt/format.h>

#include "ops/op_samples.h"

namespace musaic {
namespace {

struct FusedSize {
  int64_t rows;
  int64_t n;
  int64_t k;
  int64_t gap;  // between rows
  DType norm;
  bool has_bias;
};
// Few rows of one and of two octets, many rows, sums of one segment, of some, and of more than a batch,
// weights of many rows; many rows of a sum whose weights fill a block's memory.
constexpr FusedSize kSizes[] = {
    {0, 32, 64, 0, DType::kBF16, false},    {1, 96, 576, 0, DType::kBF16, true},
    {5, 64, 1536, 4, DType::kF32, false},   {9, 32, 32, 3, DType::kF16, true},
    {16, 160, 2080, 0, DType::kF32, true},  {70, 96, 96, 8, DType::kBF16, false},
    {40, 224, 160, 4, DType::kBF16, true},  {64, 32, 32, 0, DType::kF32, false},
    {133, 64, 608, 0, DType::kF32, true},   {3, 8224, 96, 4, DType::kBF16, true},
    {11, 8192, 608, 0, DType::kF16, false}, {60, 160, 1504, 4, DType::kF16, true}};

HostTensor rows_of(const FusedSize& size, int64_t width, uint32_t seed) {
  return HostTensor::random(DType::kF32, {size.rows, width}, seed, 1, width + size.gap);
}

SampleInput weight_of(const FusedSize& size) {
  return sample_fixed(HostTensor::random(DType::kBF16, {size.n, size.k}, 2, 0.1f));
}

SampleInput bias_of(const FusedSize& size) {
  if (!size.has_bias) return {};
  return sample_fixed(HostTensor::random(size.norm, {size.n}, 3));
}

std::string name_of(const FusedSize& size, bool rounds_x) {
  return fmt::format("{} rows of {}{}, gap {}, {} columns{}", size.rows, size.k, rounds_x ? ", rounded" : "",
                     size.gap, size.n, size.has_bias ? ", bias" : "");
}

// Of every size, exact and rounded.
template <class Make>
std::vector<OpSample> samples_of(Make make) {
  std::vector<OpSample> samples;
  for (bool rounds_x : {false, true}) {
    for (const FusedSize& size : kSizes) samples.push_back(make(size, rounds_x));
  }
  return samples;
}

OpSample normed_sample(const FusedSize& size, int64_t columns, bool rounds_x) {
  return {
      .name = fmt::format("{}, norm {}", name_of(size, rounds_x), name(size.norm)),
      .inputs = {sample_rows_of(rows_of(size, size.k, 1)),
                 sample_fixed(HostTensor::random(size.norm, {size.k}, 4)), weight_of(size), bias_of(size)},
      .attributes = {{"eps", 1e-5}, {"rounds_x", rounds_x}},
      .outputs = {{DType::kF32, {size.rows, columns}}}};
}

}  // namespace

std::vector<OpSample> rms_norm_linear_samples() {
  return samples_of(
      [](const FusedSize& size, bool rounds_x) { return normed_sample(size, size.n, rounds_x); });
}

std::vector<OpSample> rms_norm_linear_swiglu_samples() {
  return samples_of(
      [](const FusedSize& size, bool rounds_x) { return normed_sample(size, size.n / 2, rounds_x); });
}

std::vector<OpSample> linear_add_samples() {
  return samples_of([](const FusedSize& size, bool rounds_x) {
    return OpSample{.name = name_of(size, rounds_x),
                    .inputs = {sample_rows_of(rows_of(size, size.n, 5)),
                               sample_rows_of(rows_of(size, size.k, 1)), weight_of(size), bias_of(size)},
                    .attributes = {{"rounds_x", rounds_x}},
                    .outputs = {}};
  });
}

}  // namespace musaic
