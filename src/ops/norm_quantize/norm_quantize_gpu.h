#pragma once

#include "ops/quantize/quantize_gpu.h"
#include "ops/rms_norm/rms_norm_gpu.h"

namespace musaic {

// One call of musaic::rms_norm_quantize_q8 or, with a residual, musaic::add_rms_norm_quantize_q8. The norm
// has neither y nor extra.
void launch_norm_quantize(const RmsNormCall& norm, const QuantizedRowsOut& out, gpuStream_t stream);

}  // namespace musaic
