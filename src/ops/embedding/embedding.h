#pragma once

#include "ir/builder.h"

namespace musaic {

// aten::embedding. Row indices[t] of the weight as float32, read where the weight lies: in the file, or
// packed for a head.
//   weight   [vocab, n]  contiguous: f32, f16, bf16 or block-quantized
//   indices  [tokens]    i32, 0 ≤ index < vocab (a breach ends the process)
//   result   [tokens, n] f32. Pad rows are neither read nor written.
Value embedding(Value weight, Value indices);

void define_embedding(OpRegistry& registry);
void add_embedding_cpu(OpRegistry& registry);
void add_embedding_gpu(OpRegistry& registry);

}  // namespace musaic
