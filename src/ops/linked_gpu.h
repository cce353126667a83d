#pragma once

#include <memory>
#include <string>

#include "device/backend.h"
#include "device/gpu_options.h"
#include "device/memory_size.h"

namespace musaic {

class OpRegistry;

// The GPU backend that a build has linked, if any.
struct LinkedGpu {
  std::string type;  // "cuda", "musa"; empty: none
  void (*add_kernels)(OpRegistry& registry) = nullptr;
  int (*count)() = nullptr;  // devices of this machine; 0 without a driver
  // Throws LoadError.
  std::unique_ptr<Backend> (*make)(const GpuOptions& options) = nullptr;
  DeviceMemorySize (*memory_size)(const Device& device) = nullptr;
};

// CMake links linked_gpu.cpp or no_linked_gpu.cpp.
LinkedGpu linked_gpu();

}  // namespace musaic
