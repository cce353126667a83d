#pragma once

// Kernels are compiled for AVX2 and AVX-512 only; the lower one is also the fallback. Include before
// hwy/foreach_target.h.
#define HWY_BASELINE_TARGETS HWY_AVX2
#define HWY_DISABLED_TARGETS (HWY_SCALAR | HWY_SSSE3 | HWY_SSE4)
