#pragma once

#include "ops/moe_combine/moe_combine_gpu.h"
#include "ops/per_token_group_quant/fp8_rows_gpu.h"
#include "ops/rms_norm/rms_norm_gpu.h"

namespace musaic {

// REQUIRES: the choices were there when the kernel before this one, the experts' last, let it be started. One
// call of musaic::moe_combine_norm_quant_fp8. Of `combine` y is not used, of the norm only residual, weight
// and eps.
void launch_combine_norm_fp8(const MoeCombineCall& combine, const RmsNormCall& norm, const Fp8RowsOut& out,
                             gpuStream_t stream);

}  // namespace musaic
