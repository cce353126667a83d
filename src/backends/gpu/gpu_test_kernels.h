#pragma once

#include <cstdint>

#include "gpu_vendor.h"

namespace musaic {

// *value += 1.
void launch_increment(int32_t* value, gpuStream_t stream);
// A launch that the driver refuses.
void launch_with_too_many_threads(gpuStream_t stream);
// A write to address 16, which ends the device's context.
void launch_wild_write(gpuStream_t stream);

}  // namespace musaic
