#pragma once

#include "backends/gpu/device_rows.h"
#include "gpu_vendor.h"

namespace musaic {

// One call of aten::silu, aten::mul and aten::_fused_swiglu_forward.
void launch_silu(const DeviceRows& x, const DeviceRows& y, const int32_t* live_rows, gpuStream_t stream);
void launch_mul(const DeviceRows& a, const DeviceRows& b, const DeviceRows& y, const int32_t* live_rows,
                gpuStream_t stream);
void launch_swiglu(const DeviceRows& x, const DeviceRows& y, const int32_t* live_rows, gpuStream_t stream);

}  // namespace musaic
