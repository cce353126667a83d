#pragma once

#include <chrono>
#include <functional>

#include "device/memory_size.h"

namespace musaic {

// What is free once ended processes have given back what they held: where others hold memory, `measure` is
// asked again, with `pause` before, until no more becomes free; 10 s at most, 0.2 s where they keep it.
DeviceMemorySize settled_memory(const std::function<DeviceMemorySize()>& measure,
                                const std::function<void(std::chrono::milliseconds)>& pause);
// The same, with pauses of this thread.
DeviceMemorySize settled_memory(const std::function<DeviceMemorySize()>& measure);

}  // namespace musaic
