#pragma once

#include <cstddef>
#include <cstdint>

#include "gpu_vendor.h"

namespace musaic {

// Adds checksum_of(data, words) to *sum. REQUIRES: both lie on the device, at multiples of 8 bytes.
void launch_checksum(const void* data, size_t words, uint64_t* sum, gpuStream_t stream);

}  // namespace musaic
