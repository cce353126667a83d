#pragma once

#include "ir/builder.h"

namespace musaic {

class OpRegistry;

// Rows in FP8 (e4m3) with a scale for each group of 128 values; the last group of a row may be shorter.
struct Fp8Rows {
  static constexpr int64_t kGroup = 128;

  Value q;      // [rows, k]  f8e4m3
  Value scale;  // [rows, ceil(k / 128)]  f32
};

// sgl_kernel::sgl_per_token_group_quant_8bit_v2 of x [rows, k] into memory of its own.
Fp8Rows quantize_fp8(Value x);

// musaic::linear_fp8. y[r][n] = Σ_k (q · scale)[r][k] · (weight · weight_scale)[n][k] + bias[n], summed in
// float32.
//   q, scale      as above, contiguous
//   weight        [n, k]  f8e4m3, contiguous
//   weight_scale  [ceil(n / 128), ceil(k / 128)]  f32: of a block of 128 × 128, the last ones ragged
//   bias          [n]  f32, f16 or bf16; may be absent
//   y             [rows, n]  f32, contiguous. Pad rows are neither read nor written. A row's result does not
//                 depend on the other rows nor on how many there are, except that a GPU of compute
//                 capability 9.0 takes other kernels from 33 rows (of the bucket) on, whose sums of a group
//                 keep 14 bits: 10^-4 of what is summed.
Value linear_fp8(const Fp8Rows& x, Value weight, Value weight_scale, Value bias = {});

void define_linear_fp8(OpRegistry& registry);
void add_linear_fp8_cpu(OpRegistry& registry);
void add_linear_fp8_gpu(OpRegistry& registry);

}  // namespace musaic
