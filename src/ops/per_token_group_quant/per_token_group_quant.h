#pragma once

#include <utility>

#include "ir/builder.h"

namespace musaic {

class OpRegistry;

struct GroupQuantArguments {
  Value input;     // [n, h] or [experts, n, h]; 2h wide with fuse_silu_and_mul. f32, f16 or bf16, dense rows
  Value output_q;  // [.., h]  f8e4m3 or i8, contiguous
  Value output_s;  // [.., ceil(h / group_size)]  f32; or, four to an i32, with scale_ue8m0
  Value masked_m;  // [experts]  i32: rows of each expert; may be absent
  int group_size = 128;
  double eps = 1e-10;
  double min = -448;  // of output_q's values; -128 and 127 for i8
  double max = 448;
  bool scale_ue8m0 = false;
  bool fuse_silu_and_mul = false;
};

// sgl_kernel::sgl_per_token_group_quant_8bit_v2 (SGLang). Values in 8 bits with a scale for each group of 16,
// 32, 64 or 128 along a row (the last group of a row may be shorter), written into output_q and output_s;
// returns their new versions.
//   s = max(largest |x| of the group, eps) / max, in float32; with scale_ue8m0 the next power of two from
//       there on
//   q = x / s, held in [min, max], rounded to nearest even
// fuse_silu_and_mul: x is first silu(first half) · second half, exactly aten::_fused_swiglu_forward.
// output_s may lie row-major (stride 1 along the groups) or column-major (stride 1 along the rows). As i32 it
// holds the scales' biased exponents, four groups to a word, the lowest byte first; missing ones are 0.
// Rows of an expert from masked_m on, and pad rows, are neither read nor written. REQUIRES: finite values.
std::pair<Value, Value> per_token_group_quant(const GroupQuantArguments& arguments);

void define_per_token_group_quant(OpRegistry& registry);
void add_per_token_group_quant_cpu(OpRegistry& registry);
void add_per_token_group_quant_gpu(OpRegistry& registry);

}  // namespace musaic
