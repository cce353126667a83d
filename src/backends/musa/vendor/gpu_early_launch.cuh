#pragma once

#include "backends/musa/vendor/gpu_vendor.h"

namespace musaic {

// Where the vendor has dependent launches, the next kernel may be started from here on. MUSA has none.
__device__ inline void let_next_kernel_start() {}

}  // namespace musaic
