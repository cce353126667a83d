#pragma once

#include "ir/builder.h"

namespace musaic {

class OpRegistry;

// musaic::random_values. Fills x with the values of RandomValues (tensor/random_values.h), counted through
// its rows, rounded to nearest even; in FP8 held within ±448. The same bits on every device.
//   x  [rows, ..]  f32, bf16 or f8e4m3, contiguous, written. Pad rows are not.
Value random_values(Value x, int64_t seed, double mean, double deviation);

void define_random_values(OpRegistry& registry);
void add_random_values_cpu(OpRegistry& registry);
void add_random_values_gpu(OpRegistry& registry);

}  // namespace musaic
