#pragma once

#include <cstdint>

#include "tensor/dtype.h"

namespace musaic {

// The projection from latents to keys and values, as device code reads it.
struct KvBGpu {
  const uint8_t* data = nullptr;  // [heads · (nope + v), rank]
  DType dtype = DType::kF32;
  const float* scale = nullptr;  // of blocks of 128 × 128, FP8 only
  int64_t scale_columns = 0;
  int rank = 0;
  int nope = 0;
  int value_dim = 0;

  // The sizes of DeepSeek-V2 and V3, which the kernels by matrix units are made for.
  bool has_matrix_sizes() const {
    return rank == 512 && nope == 128 && value_dim == 128 && reinterpret_cast<uintptr_t>(data) % 16 == 0 &&
           (dtype == DType::kF8E4M3 || dtype == DType::kBF16);
  }
};

}  // namespace musaic
