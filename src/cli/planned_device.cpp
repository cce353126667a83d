#include "cli/planned_device.h"

#include <algorithm>

#include "base/status.h"

namespace musaic {
namespace {

constexpr const char* kPlannedTypes[] = {"cuda", "musa"};

bool has_backend(const Platform& platform, const std::string& type) {
  return std::find(platform.backends.begin(), platform.backends.end(), type) != platform.backends.end();
}

Device find_device(const Platform& platform, const std::string& text) {
  const auto device = parse_device(text == "auto" ? "cpu" : text);
  const bool planned = device && std::find(std::begin(kPlannedTypes), std::end(kPlannedTypes),
                                           device->type) != std::end(kPlannedTypes);
  if (device && (planned || has_backend(platform, device->type))) return *device;
  std::string known;
  for (const std::string& backend : platform.backends) known += (known.empty() ? "" : ", ") + backend;
  for (const char* type : kPlannedTypes) {
    if (!has_backend(platform, type))
      known += std::string(", ") + type + ":N (planned for, without kernels here)";
  }
  fail_load("--device {}: no such device; there are: {}", text, known);
}

bool is_here(const Platform& platform, const std::string& type) {
  return has_backend(platform, type) && (!platform.has_device || platform.has_device(type));
}

Capabilities capabilities_of(const Platform& platform, const Device& device, const std::string& cpu_isa) {
  if (!is_here(platform, device.type)) return {};
  return platform.make_backend({.device = device.type, .num_threads = 1, .cpu_isa = cpu_isa})->capabilities();
}

OpRegistry with_every_kernel(const OpRegistry& registry, const std::string& device_type) {
  OpRegistry all = registry;
  for (const auto& [name, op] : registry.ops()) {
    if (!op.is_view) all.add_kernel(name, {.name = "(assumed)", .device_type = device_type});
  }
  return all;
}

}  // namespace

PlannedDevice::PlannedDevice(const Platform& platform, const std::string& device_text,
                             const std::string& cpu_isa, bool assume_kernels)
    : target_{assume_kernels ? assumed_ : platform.registry, find_device(platform, device_text),
              capabilities_} {
  capabilities_ = capabilities_of(platform, target_.device, cpu_isa);
  if (assume_kernels) assumed_ = with_every_kernel(platform.registry, target_.device.type);
}

}  // namespace musaic
