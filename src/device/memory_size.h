#pragma once

#include <cstddef>

namespace musaic {

// The memory of a device, and what of it could still be allocated. Zeros: it has the host's.
struct DeviceMemorySize {
  size_t total_bytes = 0;
  size_t free_bytes = 0;
};

}  // namespace musaic
