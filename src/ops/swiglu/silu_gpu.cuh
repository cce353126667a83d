#pragma once

#include "gpu_vendor.h"

namespace musaic {

// exp(x) for x <= 0 within 1 ulp; 0 below -87. NaN stays NaN. The CPU kernels' operations one by one, so that
// both give the same bits.
__device__ inline float exp_of_negative(float x) {
  constexpr float kSmallest = -87.0f;
  if (x != x) return x;
  if (x < kSmallest) return 0.0f;
  const float n = rintf(__fmul_rn(x, 1.44269504f));
  float r = fmaf(-n, 0.693145751953125f, x);  // ln 2 in two parts, the first exact
  r = fmaf(-n, 1.42860677e-6f, r);
  // Minimax of (exp(r) - 1 - r) / r^2 on |r| <= ln 2 / 2.
  float p = fmaf(1.989933284e-4f, r, 1.393368697e-3f);
  p = fmaf(p, r, 8.333298413e-3f);
  p = fmaf(p, r, 4.166646459e-2f);
  p = fmaf(p, r, 1.666666672e-1f);
  p = fmaf(p, r, 5.000000013e-1f);
  p = __fadd_rn(fmaf(p, __fmul_rn(r, r), r), 1.0f);
  return __int_as_float(__float_as_int(p) + (static_cast<int>(n) << 23));
}

// x / (1 + exp(-x)), written so that exp never overflows.
__device__ inline float silu(float x) {
  const float e = exp_of_negative(-fabsf(x));
  return __fdiv_rn(x < 0.0f ? __fmul_rn(x, e) : x, __fadd_rn(1.0f, e));
}

}  // namespace musaic
