#pragma once

#include "cli/model_session.h"

namespace CLI {
class App;
}

namespace musaic {

// The flags that every verb with a model has: model, device, types, sizes, graphs.
void add_model_flags(CLI::App& app, SessionOptions& options);

}  // namespace musaic
