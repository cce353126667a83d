#pragma once

#include "profile/profiler.h"
#include "request/batch.h"

namespace musaic {

// Adds a collected step to a profile: the step, and its segments on the rows of pieces and breaks.
void add_step(Profiler& profiler, const StepOutput& output);

}  // namespace musaic
