#pragma once

#include "backends/gpu/device_rows.h"
#include "gpu_vendor.h"

namespace musaic {

// One call of musaic::cast.
void launch_cast(const DeviceRows& x, const DeviceRows& y, const int32_t* live_rows, gpuStream_t stream);

}  // namespace musaic
