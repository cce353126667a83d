#include "cli/command_line.h"

#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <vector>

#include "base/log.h"
#include "cli/nearest_name.h"
#include "cli/verbs.h"

namespace musaic {
namespace {

std::vector<std::string> long_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  return names;
}

int usage_error(const CLI::App& app, const std::string& message) {
  std::fputs(fmt::format("musaic {}: {}\n", app.get_name(), message).c_str(), stderr);
  return kExitUsage;
}

}  // namespace

void load_plugins(Platform& platform, const std::vector<std::string>& paths) {
  for (const std::string& path : paths) {
    const LoadedPlugin& loaded =
        platform.plugins.emplace_back(load_plugin(path, platform.registry, platform.host_threads));
    spdlog::info("plugin {} from {}: ops [{}], kernels [{}]", loaded.name, loaded.path,
                 fmt::join(loaded.ops, ", "), fmt::join(loaded.kernels, ", "));
  }
  if (!paths.empty() && platform.derive_kernels) platform.derive_kernels(platform.registry);
}

std::optional<int> parse_command_line(CLI::App& app, Platform& platform, int argc, char** argv) {
  std::vector<std::string> plugins;
  app.add_option("--plugin", plugins, kPluginHelp)->allow_extra_args(false)->take_all();
  app.allow_extras();
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    std::fputs(app.help().c_str(), stdout);
    return kExitOk;
  } catch (const CLI::ParseError& error) {
    return usage_error(app, error.what());
  }
  const auto extras = app.remaining();
  if (extras.empty()) {
    load_plugins(platform, plugins);
    return std::nullopt;
  }
  const std::string flag = extras[0].substr(0, extras[0].find('='));
  if (!flag.starts_with("-")) return usage_error(app, fmt::format("unexpected argument {}", flag));
  const std::string nearest = nearest_name(flag, long_names(app));
  return usage_error(app, nearest.empty() ? fmt::format("unknown flag {}; --help lists them", flag)
                                          : fmt::format("unknown flag {}; did you mean {}?", flag, nearest));
}

}  // namespace musaic
