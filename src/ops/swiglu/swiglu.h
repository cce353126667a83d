#pragma once

#include "ir/builder.h"

namespace musaic {

// aten::silu. y = x / (1 + exp(-x)), elementwise.
//   x  [rows, n] or [rows, m, n]  f32 (a GPU: f16 and bf16 too), dense rows
//   y  like x, contiguous. Pad rows are neither read nor written.
Value silu(Value x);

// aten::mul. Elementwise x · y of equal shapes, dense rows; dtypes, result and pad rows as above.
Value mul(Value x, Value y);

// aten::_fused_swiglu_forward (torch_musa). silu(first half) · second half of the last dimension, in float32
// with one rounding to the output's dtype (Shazeer 2020).
//   x  [..., 2·d]  f32, f16 or bf16, dense rows; the gate half first
//   y  [..., d]    like x, contiguous. Pad rows are neither read nor written.
Value fused_swiglu(Value x);

void define_swiglu(OpRegistry& registry);
void add_swiglu_cpu(OpRegistry& registry);
void add_swiglu_gpu(OpRegistry& registry);

}  // namespace musaic
