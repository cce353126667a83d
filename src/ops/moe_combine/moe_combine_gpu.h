#pragma once

#include "backends/gpu/device_rows.h"
#include "gpu_vendor.h"

namespace musaic {

// One call of musaic::moe_combine.
struct MoeCombineCall {
  DeviceRows x;       // [rows, n]  f32
  DeviceRows addend;  // [tokens, n] or absent
  DeviceRows y;       // [tokens, n]
  const int32_t* token_row = nullptr;
  const float* weights = nullptr;
  int top_k = 0;
  const int32_t* live_rows = nullptr;
};

void launch_moe_combine(const MoeCombineCall& call, gpuStream_t stream);

}  // namespace musaic
