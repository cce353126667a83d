#pragma once

#include "backends/gpu/device_rows.h"
#include "gpu_vendor.h"

namespace musaic {

// One call of aten::add.
void launch_add(const DeviceRows& x, const DeviceRows& y, const DeviceRows& sum, const int32_t* live_rows,
                gpuStream_t stream);

}  // namespace musaic
