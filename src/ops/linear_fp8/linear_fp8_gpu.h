#pragma once

#include <cstdint>

#include "gpu_vendor.h"
#include "tensor/dtype.h"

namespace musaic {

// One call of musaic::linear_fp8. All tensors are contiguous.
struct LinearFp8Call {
  const uint8_t* q = nullptr;           // [rows, k]  e4m3
  const float* scale = nullptr;         // [rows, ceil(k / 128)]
  const uint8_t* weight = nullptr;      // [n, k]  e4m3
  const float* weight_scale = nullptr;  // [ceil(n / 128), ceil(k / 128)]
  const void* bias = nullptr;           // [n], null: none
  DType bias_dtype = DType::kF32;
  float* y = nullptr;  // [rows, n]
  int64_t rows = 0;
  int64_t n = 0;
  int64_t k = 0;
  const int32_t* live_rows = nullptr;
};

// A sum over k is that of its groups of 128 values in ascending order, each summed by itself and then scaled;
// a group is eight products of matrices of 16 values of k (k_steps.cuh says which). Every shape of tile keeps
// to it, so that a row's bits do not depend on the other rows.
void launch_linear_fp8(const LinearFp8Call& call, gpuStream_t stream);

}  // namespace musaic
