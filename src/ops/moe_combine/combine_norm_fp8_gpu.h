#pragma once

#include "ops/moe_combine/moe_combine_gpu.h"
#include "ops/per_token_group_quant/fp8_rows_gpu.h"
#include "ops/rms_norm/rms_norm_gpu.h"

namespace musaic {

// One call of musaic::moe_combine_norm_quant_fp8, whose x and addend may both be bf16, too. Of `combine` y is
// not used, of the norm only residual, weight and eps. REQUIRES: the choices were there when the kernel
// before this one, the experts' last, let it be started.
void launch_combine_norm_fp8(const MoeCombineCall& combine, const RmsNormCall& norm, const Fp8RowsOut& out,
                             gpuStream_t stream);

}  // namespace musaic
