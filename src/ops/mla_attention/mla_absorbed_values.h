#pragma once

#include "ops/linear_fp8/linear_fp8.h"
#include "ops/mla_attention/mla_attention.h"

namespace musaic {

// musaic::mla_absorbed_values_fp8. mla_absorbed_attention, its result through kv_b's value rows as
// mla_expand_values, and that in FP8 as sgl_per_token_group_quant_8bit_v2 gives it for groups of 128:
// [tokens, heads · v_head_dim]. kv_b as there. Defined where GPU kernels are.
Fp8Rows mla_absorbed_values_fp8(const MlaArguments& arguments, int rank, Value kv_b, Value kv_b_scale,
                                int v_head_dim);

void define_mla_absorbed_values(OpRegistry& registry);

}  // namespace musaic
