#pragma once

#include "backends/gpu/device_rows.h"
#include "gpu_vendor.h"

namespace musaic {

// One call of aten::index_select; `indices` has y.outer entries.
void launch_index_select(const DeviceRows& x, const int32_t* indices, const DeviceRows& y,
                         const int32_t* live_rows, gpuStream_t stream);

}  // namespace musaic
