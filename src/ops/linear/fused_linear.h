#pragma once

#include "ir/builder.h"

namespace musaic {

class OpRegistry;

// Linears of float rows fused with what stands beside them; defined where GPU kernels are. x, weight, bias
// and pad rows as aten::linear has them, with a bf16 weight; norms as aten::rms_norm, in float32 with no
// rounding in between. With the attribute `rounds_x` what meets the weight is rounded to bf16 first: x, or of
// a normed row x · norm_weight, whose sums the row's factor multiplies afterwards.

// musaic::rms_norm_linear. linear(rms_norm(x, norm_weight, eps), weight, bias): [rows, n].
Value rms_norm_linear(Value x, Value norm_weight, Value weight, Value bias, double eps);

// musaic::rms_norm_linear_swiglu. silu of the first half of its columns times the second: [rows, n / 2].
Value rms_norm_linear_swiglu(Value x, Value norm_weight, Value weight, Value bias, double eps);

// musaic::linear_add_. residual ← residual + linear(x, weight, bias), in place: f32 [rows, n]. Returns the
// new residual.
Value linear_add_(Value residual, Value x, Value weight, Value bias = {});

void define_fused_linear(OpRegistry& registry);
void add_fused_linear_gpu(OpRegistry& registry);

}  // namespace musaic
