#pragma once

#include "ops/linear_fp8/linear_fp8.h"

namespace musaic {

struct CombinedNormFp8 {
  Fp8Rows rows;
  Value residual;
};

struct CombineNormArguments {
  Value x;            // [rows, k]  f32: results of experts
  Value token_row;    // [tokens, top_k]  i32
  Value weights;      // [tokens, top_k]  f32
  Value addend;       // [tokens, k]  f32, dense rows; may be absent
  Value residual;     // [tokens, k]  f32, dense rows; becomes the sum of all
  Value norm_weight;  // [k]  f32, f16 or bf16
  double eps = 0;
};

// musaic::moe_combine_norm_quant_fp8. moe_combine, its sum added to the residual in place, and the norm of
// that in FP8 as sgl_per_token_group_quant_8bit_v2 gives it for groups of 128; the norm's sum may have
// another order than that of its parts. Defined where GPU kernels are. Pad rows are neither read nor written.
// REQUIRES: x was computed of rows that token_row's routing had grouped, so that token_row and weights were
// there first.
CombinedNormFp8 moe_combine_norm_quant_fp8(const CombineNormArguments& arguments);
// The same by simpler ops: q, scale, residual.
std::vector<Value> decompose_combine_norm(const CombineNormArguments& arguments);

void define_combine_norm_fp8(OpRegistry& registry);
void add_combine_norm_fp8_gpu(OpRegistry& registry);

}  // namespace musaic
