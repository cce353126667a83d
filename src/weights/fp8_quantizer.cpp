#include "weights/fp8_quantizer.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "tensor/half.h"
#include "weights/model_config.h"

namespace musaic {
namespace {

constexpr int64_t kBlock = BlockFp8::kBlock;
constexpr float kLeastMagnitude = 1e-10f;
constexpr float kLargest = 448.0f;  // of e4m3

template <class Stored, float (*to_float)(Stored)>
void convert(const std::byte* row, int64_t columns, float* values) {
  for (int64_t i = 0; i < columns; ++i) {
    Stored stored;
    std::memcpy(&stored, row + static_cast<size_t>(i) * sizeof(stored), sizeof(stored));
    values[i] = to_float(stored);
  }
}

void read_row(const WeightTensor& weight, int64_t index, float* values) {
  const int64_t columns = weight.shape[1];
  const std::byte* row = weight.data + byte_size(weight.dtype, columns) * static_cast<size_t>(index);
  switch (weight.dtype) {
    case DType::kBF16:
      return convert<uint16_t, bf16_to_float>(row, columns, values);
    case DType::kF16:
      return convert<uint16_t, f16_to_float>(row, columns, values);
    default:
      std::memcpy(values, row, static_cast<size_t>(columns) * sizeof(float));
  }
}

// Eight chains, so that the compiler takes vectors.
float largest_magnitude(const float* values, int64_t count) {
  constexpr int kChains = 8;
  float largest[kChains] = {};
  int64_t i = 0;
  for (; i + kChains <= count; i += kChains) {
    for (int c = 0; c < kChains; ++c) largest[c] = std::max(largest[c], std::abs(values[i + c]));
  }
  for (; i < count; ++i) largest[0] = std::max(largest[0], std::abs(values[i]));
  return *std::max_element(largest, largest + kChains);
}

// The scales of one row of blocks. `row` has room for a row of the weight.
void scales_of(const WeightTensor& weight, int64_t block, std::vector<float>& row, float* scales) {
  const int64_t columns = weight.shape[1];
  const int64_t blocks = (columns + kBlock - 1) / kBlock;
  const int64_t last = std::min((block + 1) * kBlock, weight.shape[0]);
  std::fill_n(scales, blocks, kLeastMagnitude);
  for (int64_t r = block * kBlock; r < last; ++r) {
    read_row(weight, r, row.data());
    for (int64_t b = 0; b < blocks; ++b) {
      const int64_t width = std::min(kBlock, columns - b * kBlock);
      scales[b] = std::max(scales[b], largest_magnitude(row.data() + b * kBlock, width));
    }
  }
  for (int64_t b = 0; b < blocks; ++b) scales[b] /= kLargest;
}

}  // namespace

void quantize_fp8_rows(const WeightTensor& weight, int64_t begin, int64_t end, std::byte* values) {
  const int64_t columns = weight.shape[1];
  std::vector<float> row(static_cast<size_t>(columns));
  std::vector<float> scales(static_cast<size_t>((columns + kBlock - 1) / kBlock));
  auto* to = reinterpret_cast<uint8_t*>(values);
  for (int64_t r = begin; r < end; ++r, to += columns) {
    if (r == begin || r % kBlock == 0) scales_of(weight, r / kBlock, row, scales.data());
    read_row(weight, r, row.data());
    for (int64_t first = 0; first < columns; first += kBlock) {
      const float scale = scales[static_cast<size_t>(first / kBlock)];
      const int64_t last = std::min(first + kBlock, columns);
      for (int64_t i = first; i < last; ++i) to[i] = float_to_f8e4m3(row[static_cast<size_t>(i)] / scale);
    }
  }
}

void quantize_fp8_scales(const WeightTensor& weight, int64_t begin, int64_t end, float* scales) {
  std::vector<float> row(static_cast<size_t>(weight.shape[1]));
  const int64_t blocks = (weight.shape[1] + kBlock - 1) / kBlock;
  for (int64_t block = begin; block < end; ++block, scales += blocks) scales_of(weight, block, row, scales);
}

}  // namespace musaic
