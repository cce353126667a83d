#pragma once

#include <optional>

namespace CLI {
class App;
}

namespace musaic {

// Parses argv into the app's options. Returns an exit code when the verb is done: help was asked for, or a
// flag is wrong (one sentence on standard error, with the nearest name for an unknown flag).
std::optional<int> parse_command_line(CLI::App& app, int argc, char** argv);

}  // namespace musaic
