#pragma once

#include <string>

#include "base/status.h"
#include "profile/profiler.h"
#include "server/server_context.h"

namespace musaic {

// Begins the trace that a client asks for, in a file of its own that is named after the time; its path.
Result<std::string> start_profile(Profiler& profiler, const ProfileQuery& query);

}  // namespace musaic
