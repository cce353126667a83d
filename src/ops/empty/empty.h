#pragma once

#include <string>

#include "ir/builder.h"

namespace musaic {

class OpRegistry;

// musaic::empty_rows. Memory of [rows of like, width] that nobody has written: for ops that write into
// arguments. `like` is not read.
Value empty_rows(Value like, int64_t width, DType dtype);

// The same with as many rows as x, like an input of the graph where one has them: so that x need not live.
Value empty_rows_of(Value x, int64_t width, DType dtype);

void define_empty(OpRegistry& registry);
void add_empty_cpu(OpRegistry& registry);
void add_empty_gpu(OpRegistry& registry);

}  // namespace musaic
