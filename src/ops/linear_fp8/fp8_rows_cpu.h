#pragma once

#include <cstdint>

#include "tensor/tensor.h"

namespace musaic {

// Rows in FP8 with their groups' scales. Contiguous.
struct Fp8RowsCpu {
  static constexpr int64_t kGroup = 128;

  const uint8_t* q;
  const float* scale;
  int64_t width;

  static Fp8RowsCpu of(const Tensor& q, const Tensor& scale) {
    return {q.as<const uint8_t>(), scale.as<const float>(), q.shape[1]};
  }
  int64_t groups() const { return (width + kGroup - 1) / kGroup; }
};

// Row `index` as float32 in out[0 .. width).
void expand_fp8_row(const Fp8RowsCpu& rows, int64_t index, float* out);

}  // namespace musaic
