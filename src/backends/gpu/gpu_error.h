#pragma once

#include <string>

#include "gpu_vendor.h"

namespace musaic {

// Throws for an error of the runtime: DeviceLost when nothing works any more, else LoadError. `where`:
// "cuda:0: aten::linear"; `what`: "a launch".
void check_gpu(gpuError_t error, const std::string& where, const char* what);

}  // namespace musaic
