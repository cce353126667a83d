#pragma once

#include "ir/builder.h"

namespace musaic {

// aten::add. Elementwise x + y of equal shapes, dense rows, f32 (a GPU: f16 and bf16 too); contiguous result.
// Pad rows are not written.
Value add(Value x, Value y);

void define_add(OpRegistry& registry);
void add_add_cpu(OpRegistry& registry);
void add_add_gpu(OpRegistry& registry);

}  // namespace musaic
