#pragma once

#include <string>

#include "base/status.h"
#include "cli/model_session.h"
#include "server/server_context.h"

namespace musaic {

// A program of the running model as text, JSON or picture: its own buckets, kernels and memory, and what is
// captured now. An invalid argument: what was asked and what there is. Any thread. REQUIRES: session is
// loaded.
Result<std::string> explain_session(const ModelSession& session, const ProgramQuery& query);

}  // namespace musaic
