#pragma once

#include <CLI/CLI.hpp>

namespace musaic {

// Accepts auto, cpu, simulated, cuda, musa, and the last two with an index: cuda:0.
CLI::Validator is_device();

}  // namespace musaic
