#pragma once

#include "ops/linear_fp8/linear_fp8.h"

namespace musaic {

struct AddNormFp8 {
  Fp8Rows rows;
  Value normed;
  Value residual;
};

// musaic::add_rms_norm_quant_fp8: sgl_kernel::fused_add_rmsnorm, and its normed rows in FP8 as
// sgl_per_token_group_quant_8bit_v2 gives them for groups of 128, with the same bits.
//   x         [rows, k]  f32, dense rows; becomes the normed rows
//   residual  like x; becomes x + residual
//   weight    [k]  f32, f16 or bf16
// Pad rows are neither read nor written.
AddNormFp8 add_rms_norm_quant_fp8(Value x, Value residual, Value weight, double eps);

// Its fake, of a call that begins with its arguments: the rows in FP8 and their scales.
std::vector<FakeOutput> fake_add_norm_quant_fp8(const FakeCall& call);

void define_norm_quant_fp8(OpRegistry& registry);
void add_norm_quant_fp8_cpu(OpRegistry& registry);
void add_norm_quant_fp8_gpu(OpRegistry& registry);

}  // namespace musaic
