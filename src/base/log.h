#pragma once

#include <spdlog/spdlog.h>

#include <string_view>

namespace musaic {

// Logs go to standard error. Levels: trace, debug, info, warning, error. Use spdlog::info(...) and siblings.
// Returns false for an unknown level.
bool set_up_log(std::string_view level);

}  // namespace musaic
