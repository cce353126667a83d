#include <fmt/format.h>

#include <algorithm>

#include "ops/op_samples.h"
#include "ops/quantize/quantize.h"

namespace musaic {
namespace {

constexpr DType kBlockTypes[] = {DType::kQ8_0, DType::kQ4_0, DType::kQ4_1, DType::kQ5_0,
                                 DType::kQ5_1, DType::kQ4_K, DType::kQ5_K, DType::kQ6_K};
constexpr DType kFloatTypes[] = {DType::kF32, DType::kF16, DType::kBF16};

struct LinearSize {
  int64_t rows;
  int64_t columns;  // n: odd ones end inside a panel of 16
  int64_t gap;      // between rows of x
  DType bias;       // kI8: none
  const char* what;
};
constexpr DType kNoBias = DType::kI8;
constexpr LinearSize kSizes[] = {{0, 16, 0, kNoBias, "0 rows"},
                                 {1, 17, 0, kNoBias, "1 row"},
                                 {3, 33, 64, DType::kF32, "3 rows with gaps, bias f32"},
                                 {9, 40, 0, DType::kF16, "9 rows, bias f16"},
                                 {2, 1, 0, DType::kBF16, "1 column, bias bf16"}};

SampleInput bias_of(const LinearSize& size) {
  if (size.bias == kNoBias) return {};
  return sample_fixed(HostTensor::random(size.bias, {size.columns}, 3));
}

SampleInput weight_of(DType dtype, const LinearSize& size, int64_t k) {
  return sample_fixed(HostTensor::random(dtype, {size.columns, k}, 2));
}

int64_t stride_of(const LinearSize& size, int64_t width) {
  return size.gap == 0 ? 0 : width + size.gap;
}

// Long enough for two blocks of the type.
int64_t depth_of(DType dtype) {
  return is_block_quantized(dtype) ? std::max(64, 2 * dtype_info(dtype).block_elements) : 37;
}

OpSample linear_sample(DType dtype, const LinearSize& size) {
  const int64_t k = depth_of(dtype);
  const auto x = HostTensor::random(DType::kF32, {size.rows, k}, 1, 1, stride_of(size, k));
  return {.name = fmt::format("{}, weight {}", size.what, name(dtype)),
          .inputs = {sample_rows_of(x), weight_of(dtype, size, k), bias_of(size)},
          .outputs = {{DType::kF32, {size.rows, size.columns}}}};
}

OpSample linear_q8_sample(DType dtype, const LinearSize& size) {
  const int64_t k = depth_of(dtype);
  const int64_t blocks = k / QuantizedRows::kBlock;
  const auto q = HostTensor::random_ints(DType::kI8, {size.rows, k}, 1, -127, 127, stride_of(size, k));
  const auto per_block = [&](uint32_t seed) {
    return sample_rows_of(
        HostTensor::random(DType::kF32, {size.rows, blocks}, seed, 0.01f, stride_of(size, blocks)));
  };
  return {.name = fmt::format("{}, weight {}", size.what, name(dtype)),
          .inputs = {sample_rows_of(q), per_block(4), per_block(5), weight_of(dtype, size, k), bias_of(size)},
          .outputs = {{DType::kF32, {size.rows, size.columns}}}};
}

}  // namespace

std::vector<OpSample> linear_samples() {
  std::vector<OpSample> samples;
  for (const LinearSize& size : kSizes) {
    for (DType dtype : kFloatTypes) samples.push_back(linear_sample(dtype, size));
    for (DType dtype : kBlockTypes) samples.push_back(linear_sample(dtype, size));
  }
  return samples;
}

std::vector<OpSample> linear_q8_samples() {
  std::vector<OpSample> samples;
  for (const LinearSize& size : kSizes) {
    for (DType dtype : kBlockTypes) samples.push_back(linear_q8_sample(dtype, size));
  }
  return samples;
}

}  // namespace musaic
