#include "plugin/load_plugin.h"

#include <dlfcn.h>

#include <filesystem>
#include <memory>
#include <set>

#include "base/status.h"
#include "plugin/host_functions.h"

namespace musaic {
namespace {

struct CloseLibrary {
  void operator()(void* library) const { dlclose(library); }
};
using Library = std::unique_ptr<void, CloseLibrary>;

Library open_library(const std::string& path) {
  if (!std::filesystem::exists(path)) fail_load("plugin {}: there is no such file", path);
  // An absolute path: a bare name would be looked for among the system's libraries.
  void* library = dlopen(std::filesystem::absolute(path).c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) fail_load("plugin {}: the library does not load: {}", path, dlerror());
  return Library(library);
}

const MusaicPlugin& find_plugin(void* library, const std::string& path) {
  void* symbol = dlsym(library, "musaic_plugin");
  if (symbol == nullptr) fail_load("plugin {}: exports no musaic_plugin(), so it is no plugin", path);
  const auto function = reinterpret_cast<const MusaicPlugin* (*)()>(symbol);
  const MusaicPlugin* plugin = function();
  if (plugin == nullptr) fail_load("plugin {}: its musaic_plugin() gives NULL", path);
  return *plugin;
}

// Only the versions may be read before this is fine.
void check_version(const MusaicPlugin& plugin, const std::string& path) {
  const bool fits =
      plugin.abi_major == MUSAIC_PLUGIN_ABI_MAJOR && plugin.abi_minor <= MUSAIC_PLUGIN_ABI_MINOR;
  if (fits) return;
  fail_load(
      "plugin {}: built for plugin ABI {}.{}, expected {}.{}: build it with this version's "
      "musaic/plugin.h",
      path, plugin.abi_major, plugin.abi_minor, MUSAIC_PLUGIN_ABI_MAJOR, MUSAIC_PLUGIN_ABI_MINOR);
}

void initialise(const MusaicPlugin& plugin, const std::string& path, OpRegistry& registry,
                const HostThreadsByDevice& devices) {
  if (plugin.name == nullptr || plugin.init == nullptr) fail_load("plugin {}: has no name or no init", path);
  MusaicContext context{.kind = CallbackKind::kInit, .registry = &registry, .devices = &devices};
  const MusaicStatus status = plugin.init(&host_functions(), &context);
  if (!context.error.empty()) fail_load("plugin {} ({}): {}", path, plugin.name, context.error);
  if (status != MUSAIC_OK)
    fail_load("plugin {} ({}): its init function failed without saying why", path, plugin.name);
}

std::set<std::string> kernel_texts(const OpRegistry& registry) {
  std::set<std::string> texts;
  for (const auto& [name, op] : registry.ops()) {
    for (const Kernel& kernel : op.kernels)
      texts.insert(fmt::format("{} ({}) of {}", kernel.name, kernel.device_type, name));
  }
  return texts;
}

LoadedPlugin difference(const OpRegistry& before, const OpRegistry& after) {
  LoadedPlugin loaded;
  for (const auto& [name, op] : after.ops()) {
    if (before.find(name) == nullptr) loaded.ops.push_back(name);
  }
  const std::set<std::string> old_kernels = kernel_texts(before);
  for (const std::string& kernel : kernel_texts(after)) {
    if (!old_kernels.contains(kernel)) loaded.kernels.push_back(kernel);
  }
  return loaded;
}

}  // namespace

LoadedPlugin load_plugin(const std::string& path, OpRegistry& registry, const HostThreadsByDevice& devices) {
  Library library = open_library(path);
  const MusaicPlugin& plugin = find_plugin(library.get(), path);
  check_version(plugin, path);
  OpRegistry extended = registry;
  initialise(plugin, path, extended, devices);
  LoadedPlugin loaded = difference(registry, extended);
  loaded.path = path;
  loaded.name = plugin.name;
  registry = std::move(extended);
  library.release();  // its functions are in the registry now
  return loaded;
}

}  // namespace musaic
