#pragma once

#include "ops/quantize/quantize.h"

namespace musaic {

// musaic::rms_norm_quantize_q8: quantize_q8 of rms_norm(x) · weight, in one pass and with the same bits.
//   x       [rows, k]  f32, dense rows, k a multiple of 32
//   weight  [k]        f32, f16 or bf16
// Pad rows are neither read nor written.
QuantizedRows rms_norm_quantize_q8(Value x, Value weight, double eps);

struct AddNormQuantized {
  QuantizedRows rows;
  Value residual;
};

// musaic::add_rms_norm_quantize_q8: residual ← x + residual in place, and quantize_q8 of rms_norm(residual) ·
// weight; shapes and bits as there, the residual like x.
AddNormQuantized add_rms_norm_quantize_q8(Value x, Value residual, Value weight, double eps);

void define_norm_quantize(OpRegistry& registry);
void add_norm_quantize_cpu(OpRegistry& registry);
void add_norm_quantize_gpu(OpRegistry& registry);

}  // namespace musaic
