#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "ops/testing/test_tensor.h"
#include "tensor/dequantize.h"
#include "tensor/half.h"

namespace musaic::testing {

inline int64_t block_elements(DType dtype) {
  return dtype_info(dtype).block_elements;
}

inline void put_f16(std::byte* to, float value) {
  const uint16_t bits = float_to_f16(value);
  std::memcpy(to, &bits, sizeof(bits));
}

// A weight [rows, columns] of any type.
inline TestTensor random_weight(DType dtype, int64_t rows, int64_t columns, uint32_t seed) {
  return TestTensor::random(dtype, {rows, columns}, seed);
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
