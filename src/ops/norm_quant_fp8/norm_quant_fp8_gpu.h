#pragma once

#include "ops/per_token_group_quant/fp8_rows_gpu.h"
#include "ops/rms_norm/rms_norm_gpu.h"

namespace musaic {

// One call of musaic::add_rms_norm_quant_fp8. The norm has a residual, no extra, and y is x.
void launch_norm_quant_fp8(const RmsNormCall& norm, const Fp8RowsOut& out, gpuStream_t stream);

}  // namespace musaic
