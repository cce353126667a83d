#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/dtype.h"

namespace musaic {

// The float values of `elements` stored ones: plain scalar code, the reference for every kernel.
// `source` needs no alignment. REQUIRES: a floating-point or block-quantized type; elements is a multiple of
// its block size.
void dequantize_row(DType dtype, const std::byte* source, float* out, int64_t elements);

// Where a block keeps its f16 scale; an f16 min follows where the type has one. REQUIRES: block-quantized.
size_t scale_offset(DType dtype);
bool has_min(DType dtype);

}  // namespace musaic
