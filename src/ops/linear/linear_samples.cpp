#include <fmt/format.h>

#include <algorithm>
#include <numeric>

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

OpSample linear_sample(DType dtype, const LinearSize& size, int64_t k) {
  const auto x = HostTensor::random(DType::kF32, {size.rows, k}, 1, 1, stride_of(size, k));
  return {.name = fmt::format("{}, {} rows of {}, weight {}", size.what, size.rows, k, name(dtype)),
          .inputs = {sample_rows_of(x), weight_of(dtype, size, k), bias_of(size)},
          .outputs = {{DType::kF32, {size.rows, size.columns}}}};
}

// What matrix units take: whole squares of a bf16 weight, more rows than a tile has.
OpSample many_rows_sample() {
  constexpr int64_t kRows = 70, kColumns = 80, kDepth = 192;
  return {.name = fmt::format("{} rows, weight bf16", kRows),
          .inputs = {sample_rows_of(HostTensor::random(DType::kF32, {kRows, kDepth}, 1)),
                     sample_fixed(HostTensor::random(DType::kBF16, {kColumns, kDepth}, 2)),
                     sample_fixed(HostTensor::random(DType::kF32, {kColumns}, 3))},
          .outputs = {{DType::kF32, {kRows, kColumns}}}};
}

// scale · sum of q of each block, as quantize_q8 gives them: kernels may use them for what offsets add.
HostTensor block_sums(const HostTensor& q, const HostTensor& scale, int64_t stride) {
  const Shape& blocks = scale.tensor().shape;
  HostTensor sums(DType::kF32, blocks, stride);
  for (int64_t row = 0; row < blocks[0]; ++row) {
    const int8_t* values = q.tensor().row<int8_t>(row);
    for (int64_t block = 0; block < blocks[1]; ++block, values += QuantizedRows::kBlock) {
      const int total = std::accumulate(values, values + QuantizedRows::kBlock, 0);
      sums.tensor().row<float>(row)[block] =
          scale.tensor().row<float>(row)[block] * static_cast<float>(total);
    }
  }
  return sums;
}

OpSample linear_q8_sample(DType dtype, const LinearSize& size) {
  const int64_t k = depth_of(dtype);
  const int64_t blocks = k / QuantizedRows::kBlock;
  const int64_t stride = stride_of(size, blocks);
  const auto q = HostTensor::random_ints(DType::kI8, {size.rows, k}, 1, -127, 127, stride_of(size, k));
  const auto scale = HostTensor::random(DType::kF32, {size.rows, blocks}, 4, 0.01f, stride);
  return {.name = fmt::format("{}, weight {}", size.what, name(dtype)),
          .inputs = {sample_rows_of(q), sample_rows_of(scale), sample_rows_of(block_sums(q, scale, stride)),
                     weight_of(dtype, size, k), bias_of(size)},
          .outputs = {{DType::kF32, {size.rows, size.columns}}}};
}

}  // namespace

std::vector<OpSample> linear_samples() {
  std::vector<OpSample> samples;
  for (const LinearSize& size : kSizes) {
    for (DType dtype : kFloatTypes) samples.push_back(linear_sample(dtype, size, depth_of(dtype)));
    for (DType dtype : kBlockTypes) samples.push_back(linear_sample(dtype, size, depth_of(dtype)));
  }
  // Shapes that matrix units take.
  for (int64_t rows : {1, 9, 70}) {
    for (int64_t k : {48, 64})
      samples.push_back(linear_sample(DType::kBF16, {rows, 48, 0, DType::kF32, "whole squares"}, k));
  }
  samples.push_back(many_rows_sample());
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
