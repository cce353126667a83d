#pragma once

#include <cstdint>

namespace musaic {

// Calls of a device's driver since the start, of kinds that a steady decode step does without where steps
// overlap, but for reads.
struct DeviceCalls {
  uint64_t allocations = 0;  // of device or page-locked memory
  uint64_t executables = 0;  // of graphs that were made ready; kernels are compiled ahead
  uint64_t waits = 0;        // of the host for all that was enqueued: the device has nothing to do then
  uint64_t reads = 0;        // of results while work behind them was enqueued
};

}  // namespace musaic
