#pragma once

#include "backends/gpu/device_rows.h"
#include "gpu_vendor.h"

namespace musaic {

// One call of musaic::linear_q8, of the weight's blocks as they lie in the file.
struct LinearQ8Call {
  DeviceRows q;
  DeviceRows scale;
  DeviceRows sums;
  DeviceRows y;
  const uint8_t* weight = nullptr;  // [y.width, q.width], 16-byte aligned
  DType weight_dtype = DType::kQ8_0;
  int64_t weight_row_bytes = 0;
  const void* bias = nullptr;  // null: none
  DType bias_dtype = DType::kF32;
  const int32_t* live_rows = nullptr;
};

// A sum over k is the sum of eight stripes, each in order: stripe s has the blocks of 32 values whose number
// is s modulo 8.
void launch_linear_q8(const LinearQ8Call& call, gpuStream_t stream);

}  // namespace musaic
