#pragma once

// Bf16Product and F16Product, whose factors stay in registers.
#if defined(__MUSA_ARCH__) && __MUSA_ARCH__ >= 310
#include "backends/musa/vendor/unit_products.cuh"
#else
#include "backends/musa/vendor/lane_products.cuh"
#endif
