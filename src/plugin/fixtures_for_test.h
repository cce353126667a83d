#pragma once

#include <string>

#include "backends/cpu/cpu_host_threads.h"
#include "ops/kernels_cpu.h"
#include "ops/op_list.h"
#include "plugin/load_plugin.h"

namespace musaic {

inline std::string fixture(const std::string& name) {
  return std::string(MUSAIC_PLUGIN_FIXTURES) + "/" + name + ".so";
}

inline OpRegistry builtin_registry() {
  OpRegistry registry;
  define_ops(registry);
  add_cpu_kernels(registry);
  return registry;
}

inline LoadedPlugin load_fixture(const std::string& name, OpRegistry& registry) {
  return load_plugin(fixture(name), registry, {{"cpu", cpu_host_threads()}});
}

}  // namespace musaic
