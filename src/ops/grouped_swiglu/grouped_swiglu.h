#pragma once

#include "ops/linear_fp8/linear_fp8.h"
#include "ops/moe_route/moe_route.h"

namespace musaic {

// aten::_fused_swiglu_forward of rows grouped by moe_route, with the same bits: x [rows, 2 · d] f32,
// contiguous, the gate half first. Rows of no expert are neither read nor written.

// musaic::grouped_swiglu. [rows, d] f32.
Value grouped_swiglu(Value x, const ExpertRows& groups);

// musaic::grouped_swiglu_quant_fp8. The same, quantized as sgl_per_token_group_quant_8bit_v2 does.
Fp8Rows grouped_swiglu_quant_fp8(Value x, const ExpertRows& groups);

void define_grouped_swiglu(OpRegistry& registry);
void add_grouped_swiglu_cpu(OpRegistry& registry);
void add_grouped_swiglu_gpu(OpRegistry& registry);

}  // namespace musaic
