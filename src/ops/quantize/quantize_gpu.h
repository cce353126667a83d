#pragma once

#include "backends/gpu/device_rows.h"
#include "gpu_vendor.h"

namespace musaic {

// Where a kernel writes quantized rows: the three contiguous outputs of musaic::quantize_q8, q 4-byte
// aligned.
struct QuantizedRowsOut {
  int8_t* q = nullptr;
  float* scale = nullptr;
  float* sums = nullptr;
  int64_t blocks = 0;  // of one row
};

// One call of musaic::quantize_q8.
void launch_quantize_q8(const DeviceRows& x, const QuantizedRowsOut& out, const int32_t* live_rows,
                        gpuStream_t stream);

}  // namespace musaic
