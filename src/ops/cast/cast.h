#pragma once

#include "ir/builder.h"

namespace musaic {

class OpRegistry;

// musaic::cast. The values of x in another float type, rounded to nearest even.
//   x       f32, f16 or bf16, dense rows of [rows, n] or [rows, m, n], or a vector
//   result  the same shape, contiguous. Pad rows are neither read nor written.
Value cast(Value x, DType dtype);

void define_cast(OpRegistry& registry);
void add_cast_cpu(OpRegistry& registry);
void add_cast_gpu(OpRegistry& registry);

}  // namespace musaic
