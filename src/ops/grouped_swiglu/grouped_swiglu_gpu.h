#pragma once

#include "backends/gpu/device_rows.h"
#include "gpu_vendor.h"

namespace musaic {

// One call of musaic::grouped_swiglu or, with `q`, of musaic::grouped_swiglu_quant_fp8.
struct GroupedSwigluCall {
  DeviceRows x;  // [rows, 2 · width], contiguous
  const int32_t* start = nullptr;
  const int32_t* count = nullptr;
  int num_experts = 0;
  int64_t width = 0;
  float* y = nullptr;      // [rows, width]
  uint8_t* q = nullptr;    // [rows, width]
  float* scale = nullptr;  // [rows, ceil(width / 128)]
};

void launch_grouped_swiglu(const GroupedSwigluCall& call, gpuStream_t stream);
void launch_grouped_swiglu_quant(const GroupedSwigluCall& call, gpuStream_t stream);

}  // namespace musaic
