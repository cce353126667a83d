#pragma once

#include <cstdint>

#include "gpu_vendor.h"
#include "tensor/dtype.h"

namespace musaic {

// One call of musaic::grouped_linear. All tensors but x are contiguous.
struct GroupedLinearCall {
  const float* x = nullptr;            // [tokens, k], or grouped [rows, k]
  int64_t x_stride = 0;                // from row to row, in values
  const int32_t* row_token = nullptr;  // [rows], null: x is grouped
  const int32_t* start = nullptr;      // [num_experts]
  const int32_t* count = nullptr;      // [num_experts]
  int64_t num_experts = 0;
  const uint8_t* weight = nullptr;   // [num_experts, n, k]
  DType weight_dtype = DType::kF32;  // or f16, bf16
  float* y = nullptr;                // [rows, n]
  int64_t rows = 0;                  // grouped rows at most
  int64_t tokens = 0;                // rows of x
  int64_t n = 0;
  int64_t k = 0;
};

// One call of musaic::grouped_linear_fp8. All tensors are contiguous.
struct GroupedLinearFp8Call {
  const uint8_t* q = nullptr;          // [tokens, k]  e4m3, or grouped [rows, k]
  const float* scale = nullptr;        // [tokens or rows, ceil(k / 128)]
  const int32_t* row_token = nullptr;  // [rows], null: x is grouped
  const int32_t* start = nullptr;      // [num_experts]
  const int32_t* count = nullptr;      // [num_experts]
  int64_t num_experts = 0;
  const uint8_t* weight = nullptr;      // [num_experts, n, k]  e4m3
  const float* weight_scale = nullptr;  // [num_experts, parts · ceil(n / parts / 128), ceil(k / 128)]
  int64_t parts = 1;
  float* y = nullptr;  // [rows, n]
  int64_t rows = 0;    // grouped rows at most
  int64_t tokens = 0;  // rows of x
  int64_t n = 0;
  int64_t k = 0;
};

// Sums over k as in launch_linear.
void launch_grouped_linear(const GroupedLinearCall& call, gpuStream_t stream);

// Sums over k as in launch_linear_fp8.
void launch_grouped_linear_fp8(const GroupedLinearFp8Call& call, gpuStream_t stream);

}  // namespace musaic
