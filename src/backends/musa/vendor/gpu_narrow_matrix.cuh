#pragma once

// Bf16Product and F16Product, whose factors stay in registers.
#include "backends/musa/vendor/lane_products.cuh"
