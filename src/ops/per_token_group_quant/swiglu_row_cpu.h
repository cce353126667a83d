#pragma once

#include <cstdint>

namespace musaic {

// One row of sgl_per_token_group_quant_8bit_v2 in FP8 with a scale for each group of 128: x itself,
void quantize_row_fp8(const float* x, int64_t width, uint8_t* q, float* scales);

// or silu of the first `width` values of x times the other `width` (fuse_silu_and_mul).
void quantize_swiglu_row_fp8(const float* x, int64_t width, uint8_t* q, float* scales);

}  // namespace musaic
