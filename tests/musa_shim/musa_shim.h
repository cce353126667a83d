#pragma once

#include <cstdint>

#include "musa_runtime.h"

// What tests ask the stand-in for MUSA's runtime beside the runtime's own calls. Any thread.
namespace musa_shim {

// How often a call of the runtime was made: "musaGraphInstantiate".
uint64_t num_calls(const char* name);

// What the driver allows: of a real S5000 about as many.
inline constexpr int kMaxLiveExecutables = 2043;
int num_live_executables();

}  // namespace musa_shim
