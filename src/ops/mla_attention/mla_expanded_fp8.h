#pragma once

#include "ops/linear_fp8/linear_fp8.h"
#include "ops/mla_attention/mla_attention.h"

namespace musaic {

// musaic::mla_expanded_attention_fp8. mla_expanded_attention, and its result in FP8 as
// sgl_per_token_group_quant_8bit_v2 gives it for groups of 128: [tokens, heads · v]. Defined where GPU
// kernels are.
Fp8Rows mla_expanded_attention_fp8(const MlaArguments& arguments, Value kv_b, Value kv_b_scale = {});

void define_mla_expanded_fp8(OpRegistry& registry);

}  // namespace musaic
