#pragma once

#include <string>
#include <vector>

#include "plugin/context.h"

namespace musaic {

// What a library brought, for the log.
struct LoadedPlugin {
  std::string path;
  std::string name;
  std::vector<std::string> ops;
  std::vector<std::string> kernels;  // "example_scale_cpu (cpu) of example::scale"
};

// Loads a shared library (include/musaic/plugin.h) and lets it define ops and add kernels; it stays loaded as
// long as the process lives. Throws LoadError, one sentence with the path, and leaves the registry as it was:
// no such file, no library, no plugin, another ABI version, or what its init function got wrong. Call it
// before anything is traced, from one thread.
LoadedPlugin load_plugin(const std::string& path, OpRegistry& registry, const HostThreadsByDevice& devices);

}  // namespace musaic
