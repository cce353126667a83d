#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "backends/cpu/cpu_backend.h"
#include "device/backend.h"

namespace musaic {

class OpRegistry;

// The device that tests of kernels and programs run on: the CPU, or what the environment variable
// MUSAIC_TEST_DEVICE names ("simulated", "cuda").
std::string test_device_type();

// `options` are the CPU's and the simulated device's.
std::unique_ptr<Backend> make_test_backend(const CpuBackendOptions& options = {});

// The kernels of every device of this build.
void add_test_kernels(OpRegistry& registry);

// Whether the registry has the op with a kernel of the tests' device.
bool has_kernel_here(const OpRegistry& registry, std::string_view op);

}  // namespace musaic
