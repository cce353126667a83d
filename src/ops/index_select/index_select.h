#pragma once

#include "ir/builder.h"

namespace musaic {

// aten::index_select along dimension 0.
//   x       [tokens, n]  f32 (a GPU: f16 and bf16 too), dense rows
//   rows    [rows]       i32, 0 ≤ row < tokens
//   result  [rows, n]    contiguous. Pad entries of `rows` are not read, their result rows not written.
Value index_select(Value x, Value rows);

void define_index_select(OpRegistry& registry);
void add_index_select_cpu(OpRegistry& registry);
void add_index_select_gpu(OpRegistry& registry);

}  // namespace musaic
