#pragma once

#include "ops/quantize/quantize_gpu.h"

namespace musaic {

// One call of musaic::swiglu_quantize_q8.
void launch_swiglu_quantize(const DeviceRows& x, const QuantizedRowsOut& out, const int32_t* live_rows,
                            gpuStream_t stream);

}  // namespace musaic
