#include "ops/testing/test_device.h"

#include <algorithm>
#include <cstdlib>

#include "backends/simulated/simulated_backend.h"
#include "base/status.h"
#include "ir/registry.h"
#include "ops/kernels_cpu.h"
#include "ops/kernels_simulated.h"
#include "ops/linked_gpu.h"

namespace musaic {

std::string test_device_type() {
  const char* named = std::getenv("MUSAIC_TEST_DEVICE");
  return named == nullptr ? "cpu" : named;
}

std::unique_ptr<Backend> make_test_backend(const CpuBackendOptions& options) {
  const std::string type = test_device_type();
  if (type == "cpu") return std::make_unique<CpuBackend>(options);
  if (type == "simulated") return std::make_unique<SimulatedBackend>(options);
  const LinkedGpu gpu = linked_gpu();
  if (type != gpu.type) fail_load("MUSAIC_TEST_DEVICE={}: this build has no such device", type);
  return gpu.make({});
}

void add_test_kernels(OpRegistry& registry) {
  add_cpu_kernels(registry);
  add_simulated_kernels(registry);
  if (const LinkedGpu gpu = linked_gpu(); !gpu.type.empty()) gpu.add_kernels(registry);
}

bool has_kernel_here(const OpRegistry& registry, std::string_view op) {
  const OpDef* def = registry.find(op);
  return def != nullptr && std::ranges::any_of(def->kernels, [](const Kernel& kernel) {
           return kernel.device_type == test_device_type();
         });
}

}  // namespace musaic
