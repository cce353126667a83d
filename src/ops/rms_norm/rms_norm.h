#pragma once

#include "ir/builder.h"

namespace musaic {

class OpRegistry;
struct KernelCall;

// aten::rms_norm. y = x / sqrt(mean(x²) + eps) · weight over the last dimension (Zhang, Sennrich 2019).
//   x       [..., n]  f32, f16 or bf16, dense rows
//   weight  [n]       f32, f16 or bf16
//   y       like x, contiguous; in float32 with one rounding. Pad rows of y are not written.
Value rms_norm(Value x, Value weight, double eps);

// sgl_kernel::fused_add_rmsnorm. Both in place, in float32 with one rounding each:
//   residual ← x + residual [+ post_residual_addition]
//   x        ← rms_norm(residual) · weight, of the residual as it was rounded
// All but the weight have one dtype and shape. Returns the new {x, residual}. Pad rows are neither read nor
// written.
std::pair<Value, Value> fused_add_rms_norm(Value x, Value residual, Value weight, double eps,
                                           Value post_residual_addition = {});

void define_rms_norm(OpRegistry& registry);
void run_fused_add_rms_norm_cpu(const KernelCall& call);
void add_rms_norm_cpu(OpRegistry& registry);
void add_rms_norm_gpu(OpRegistry& registry);

}  // namespace musaic
