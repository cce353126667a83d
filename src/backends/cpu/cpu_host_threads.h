#pragma once

#include "device/host_threads.h"

namespace musaic {

// Of streams that are CpuStreams.
HostThreads cpu_host_threads();

}  // namespace musaic
