#pragma once

#include "ir/builder.h"

namespace musaic {

class OpRegistry;

// Activations as 8-bit integers, a scale for each 32 values of a row: x ≈ q · scale.
struct QuantizedRows {
  static constexpr int kBlock = 32;

  Value q;      // [rows, k]     i8, −127..127
  Value scale;  // [rows, k/32]  f32: the block's largest |x| / 127
  Value sums;   // [rows, k/32]  f32: scale · sum of the block's q
};

// musaic::quantize_q8. q = x · (127 / largest |x| of the block), rounded to nearest even; 0 in a block of
// zeros.
//   x       [rows, k]  f32, dense rows, k a multiple of 32
//   result  contiguous. Pad rows are neither read nor written.
QuantizedRows quantize_q8(Value x);

void define_quantize(OpRegistry& registry);
void add_quantize_cpu(OpRegistry& registry);
void add_quantize_gpu(OpRegistry& registry);

}  // namespace musaic
