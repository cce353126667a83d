#pragma once

#include "gpu_vendor.h"

namespace musaic {

// Runs an empty kernel: an error when this binary has no machine code for the device.
gpuError_t probe_kernels(gpuStream_t stream);

}  // namespace musaic
