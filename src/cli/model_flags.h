#pragma once

#include "cli/model_session.h"

namespace CLI {
class App;
}

namespace musaic {

inline constexpr const char* kDeterministicHelp =
    "a token's bits depend neither on its step's other rows nor on how its prompt was cut or cached; prompts "
    "take longer on a GPU";

// The flags that every verb with a model has: model, device, types, sizes, graphs.
void add_model_flags(CLI::App& app, SessionOptions& options);

}  // namespace musaic
