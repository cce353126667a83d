#pragma once

#include <cstddef>
#include <cstdint>

#include "weights/weight_source.h"

namespace musaic {

// Block FP8 of one linear's weight [out, in] in f32, f16 or bf16, as checkpoints hold it: a block of 128 ×
// 128 values (the last ones of a row or column may be smaller) has the scale max(|w|, 1e-10) / 448, and a
// value is w / scale in e4m3, to nearest, ties to even. Both functions may be called for any rows, by several
// threads.

// Rows [begin, end) one after the other: [end - begin, in] e4m3.
void quantize_fp8_rows(const WeightTensor& weight, int64_t begin, int64_t end, std::byte* values);

// The scales of block rows [begin, end): [end - begin, ceil(in / 128)] f32.
void quantize_fp8_scales(const WeightTensor& weight, int64_t begin, int64_t end, float* scales);

}  // namespace musaic
