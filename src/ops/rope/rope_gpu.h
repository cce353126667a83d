#pragma once

#include "backends/gpu/device_rows.h"
#include "gpu_vendor.h"

namespace musaic {

// One call of musaic::rope_cos_sin.
struct RopeCosSinCall {
  const int32_t* positions = nullptr;
  int64_t position_stride = 1;
  const float* inv_freq = nullptr;  // [half]
  int64_t half = 0;
  double factor = 1.0;
  DeviceRows cos_sin;
  const int32_t* live_rows = nullptr;
};

void launch_rope_cos_sin(const RopeCosSinCall& call, gpuStream_t stream);

// One call of musaic::rope_.
struct RopeCall {
  DeviceRows x;
  DeviceRows cos_sin;
  int64_t head_dim = 0;
  bool interleaved = false;
  const int32_t* live_rows = nullptr;
};

void launch_rope(const RopeCall& call, gpuStream_t stream);

}  // namespace musaic
