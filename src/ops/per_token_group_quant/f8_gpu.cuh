#pragma once

#include <cstdint>

#include "gpu_vendor.h"

namespace musaic {

// The bits of FP8 with 4 exponent and 3 fraction bits, rounded to nearest even. By integers, so that every
// vendor's device gives the CPU's bits. REQUIRES: |value| <= 448.
__device__ inline uint32_t to_f8e4m3(float value) {
  constexpr uint32_t kSmallestNormal = 0x3C800000;  // 2^-6
  constexpr float kStep = 16384.0f;                 // its last place is the step of subnormals, 2^-9
  const uint32_t bits = __float_as_uint(value);
  const uint32_t sign = bits >> 24 & 0x80;
  const uint32_t magnitude = bits & 0x7FFFFFFF;
  if (magnitude < kSmallestNormal)
    return sign | (__float_as_uint(__fadd_rn(__uint_as_float(magnitude), kStep)) - __float_as_uint(kStep));
  const uint32_t odd = magnitude >> 20 & 1;
  return sign | (magnitude - (120u << 23) + 0x7FFFF + odd) >> 20;
}

// value / scale without a division, `inverse` being 1 / scale: the last bit is put right by what the product
// leaves.
__device__ inline float quotient(float value, float scale, float inverse) {
  const float first = __fmul_rn(value, inverse);
  return fmaf(fmaf(-first, scale, value), inverse, first);
}

}  // namespace musaic
