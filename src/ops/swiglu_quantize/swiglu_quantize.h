#pragma once

#include "ops/quantize/quantize.h"

namespace musaic {

// musaic::swiglu_quantize_q8: quantize_q8 of aten::_fused_swiglu_forward(x), in one pass and with the same
// bits.
//   x  [rows, 2·d]  f32, dense rows, the gate half first, d a multiple of 32
// Pad rows are neither read nor written.
QuantizedRows swiglu_quantize_q8(Value x);

void define_swiglu_quantize(OpRegistry& registry);
void add_swiglu_quantize_cpu(OpRegistry& registry);
void add_swiglu_quantize_gpu(OpRegistry& registry);

}  // namespace musaic
