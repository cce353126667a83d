#pragma once

// launch_kernel_with_shared stands with the other launches.
#include "backends/musa/vendor/gpu_launch.cuh"
