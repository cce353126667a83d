#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "ops/testing/test_tensor.h"
#include "tensor/dequantize.h"
#include "tensor/half.h"

namespace musaic::testing {

inline int64_t block_elements(DType dtype) {
  return dtype_info(dtype).block_elements;
}

// Where a block keeps its scale d; -1: the type has none. m, if any, follows d.
inline int scale_offset(DType dtype) {
  if (!is_block_quantized(dtype)) return -1;
  return dtype == DType::kQ6_K ? 208 : 0;
}

inline bool has_min(DType dtype) {
  return dtype == DType::kQ4_1 || dtype == DType::kQ5_1 || dtype == DType::kQ4_K || dtype == DType::kQ5_K;
}

inline void put_f16(std::byte* to, float value) {
  const uint16_t bits = float_to_f16(value);
  std::memcpy(to, &bits, sizeof(bits));
}

// A weight [rows, columns] of any type: every quant occurs, scales and mins are of either sign.
inline TestTensor random_weight(DType dtype, int64_t rows, int64_t columns, uint32_t seed) {
  if (!is_block_quantized(dtype)) return TestTensor::random(dtype, {rows, columns}, seed);
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> scale(-0.02f, 0.02f);
  std::vector<std::byte> bytes(byte_size(dtype, rows * columns));
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  const size_t block_bytes = dtype_info(dtype).block_bytes;
  for (size_t at = 0; at < bytes.size(); at += block_bytes) {
    std::byte* d = bytes.data() + at + scale_offset(dtype);
    put_f16(d, scale(random));
    if (has_min(dtype)) put_f16(d + 2, scale(random));
  }
  return TestTensor::raw(dtype, {rows, columns}, bytes);
}

// Its values, by the plain reference code.
inline std::vector<float> weight_values(DType dtype, const TestTensor& weight) {
  std::vector<float> values(static_cast<size_t>(weight.tensor().elements()));
  dequantize_row(dtype, weight.data(), values.data(), static_cast<int64_t>(values.size()));
  return values;
}

// One sum in double precision, with the sum of magnitudes that its rounding is measured by.
struct Sum {
  double value = 0;
  double magnitude = 0;

  void add(double term) {
    value += term;
    magnitude += std::abs(term);
  }
};

}  // namespace musaic::testing
