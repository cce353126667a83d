#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "device/backend.h"
#include "device/memory_size.h"
#include "ir/registry.h"
#include "plugin/load_plugin.h"

namespace musaic {

struct BackendRequest {
  std::string device = "auto";            // "auto", a device type, or one with an index: "cuda:1"
  int num_threads = 0;                    // 0: the CPUs that the process may use
  std::string cpu_isa;                    // empty: the processor's highest
  int graph_executable_budget = -1;       // of a GPU; 0: none, -1: the vendor's
  size_t graph_memory_budget = SIZE_MAX;  // of a GPU's captures, in bytes
};

// What this binary was built with, and the plugins that a verb's flags add. main.cpp makes it; nothing else
// names a backend.
struct Platform {
  OpRegistry registry;
  std::vector<std::string> backends;  // "cpu"
  // Whether a device of this backend is here; empty: of each one.
  std::function<bool(const std::string& backend)> has_device;
  std::function<DeviceMemorySize(const Device& device)> memory_size;  // empty: all have the host's
  std::vector<std::string> instruction_sets;                          // of this processor, lowest first
  // Throws LoadError for a device that this binary has no backend for.
  std::function<std::unique_ptr<Backend>(const BackendRequest& request)> make_backend;
  HostThreadsByDevice host_threads;  // where plugin kernels may launch
  // Gives ops that came with a plugin the kernels that a backend makes out of another's; called after
  // loading.
  std::function<void(OpRegistry& registry)> derive_kernels;
  std::vector<LoadedPlugin> plugins;  // whose ops the registry has besides the built-in ones
  std::string version;                // "0.1.0 (commit), backends: cpu, instruction sets: avx2 ..."
};

}  // namespace musaic
