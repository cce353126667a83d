#pragma once

#include "ops/moe_combine/combine_norm_fp8_gpu.h"

namespace musaic {

// launch_combine_norm_fp8, with the same bits: by copies of whole rows, unless they are too wide or begin
// where they cannot be copied so. REQUIRES: compute capability 9.0.
void launch_combine_norm_fp8_sm90(const MoeCombineCall& combine, const RmsNormCall& norm,
                                  const Fp8RowsOut& out, gpuStream_t stream);

class OpRegistry;
void add_combine_norm_fp8_sm90(OpRegistry& registry);

}  // namespace musaic
