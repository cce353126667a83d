#pragma once

#include "ops/quantize/quantize.h"

namespace musaic {

class OpRegistry;

// aten::linear. y[r][n] = Σ_k x[r][k] · weight[n][k] + bias[n], in float32.
//   x       [rows, k]  f32, dense rows; with a 16-bit weight a kernel may leave its last bits out, from the
//                      18th on
//   weight  [n, k]     contiguous: f32, f16, bf16 or block-quantized (exactly the values of the format)
//   bias    [n]        f32, f16 or bf16; may be absent
//   y       [rows, n]  f32, contiguous. Pad rows are not written, nor does a result depend on
//                      them. A row's result does not depend on the other rows nor on how many there are.
Value linear(Value x, Value weight, Value bias = {});

// musaic::linear_q8. The same of quantized rows, in integers within each block of 32: faster and, as x is
// rounded to 8 bits, not exact.
//   x       [rows, k]  what quantize_q8 gives
//   weight  [n, k]     block-quantized; a kernel may ask for it repacked
Value linear_q8(const QuantizedRows& x, Value weight, Value bias = {});

void define_linear(OpRegistry& registry);
void add_linear_cpu(OpRegistry& registry);
void add_linear_gpu(OpRegistry& registry);

}  // namespace musaic
