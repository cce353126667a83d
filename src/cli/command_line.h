#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/platform.h"

namespace CLI {
class App;
}

namespace musaic {

// Parses argv into the app's options, and --plugin, which every verb has: the libraries are loaded into the
// platform. Returns an exit code when the verb is done: help was asked for, or a flag is wrong (one sentence
// on standard error, with the nearest name for an unknown flag). Throws LoadError: a plugin is wrong.
std::optional<int> parse_command_line(CLI::App& app, Platform& platform, int argc, char** argv);

inline constexpr const char* kPluginHelp = "a shared library with ops and kernels; may be repeated";

// Loads each library into the platform's registry, and logs what it brought. Throws LoadError.
void load_plugins(Platform& platform, const std::vector<std::string>& paths);

}  // namespace musaic
