#pragma once

#include <cstdint>

namespace musaic {

// Rows in FP8 with a scale for each group of 128, as sgl_per_token_group_quant_8bit_v2 gives them.
struct Fp8RowsOut {
  uint8_t* q = nullptr;    // [rows, width]
  float* scale = nullptr;  // [rows, ceil(width / 128)]
  int64_t width = 0;
};

}  // namespace musaic
