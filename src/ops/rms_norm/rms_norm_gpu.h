#pragma once

#include "backends/gpu/device_rows.h"
#include "gpu_vendor.h"

namespace musaic {

// One call of aten::rms_norm (no residual) or sgl_kernel::fused_add_rmsnorm (y is x).
struct RmsNormCall {
  DeviceRows x;
  DeviceRows residual;
  DeviceRows extra;
  DeviceRows y;
  const void* weight = nullptr;
  DType weight_dtype = DType::kF32;
  float eps = 0;
  const int32_t* live_rows = nullptr;
};

void launch_rms_norm(const RmsNormCall& call, gpuStream_t stream);

}  // namespace musaic
