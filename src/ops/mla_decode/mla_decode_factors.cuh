#pragma once

#include "ops/mla_attention/matrix_factor.cuh"

// Factors of the products with cached latents and with kv_b.
namespace musaic::mla_decode_sm90 {

using CacheProduct = Bf16Product;  // with latents
using KvBProduct = F16Product;     // with kv_b, exact in FP8

// Code is fetched as it runs, once a launch: conversions take one instruction each.
__device__ inline uint32_t f16_of_f8(uint32_t pair) {
  uint32_t words;
  asm("cvt.rn.f16x2.e4m3x2 %0, %1;" : "=r"(words) : "h"(static_cast<uint16_t>(pair)));
  return words;
}
__device__ inline void split_as_bf16(float a, float b, uint32_t (&parts)[kFactorParts]) {
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(parts[0]) : "f"(b), "f"(a));
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;"
      : "=r"(parts[1])
      : "f"(b - Bf16Factor::high(parts[0])), "f"(a - Bf16Factor::low(parts[0])));
}
__device__ inline void split_as_f16(float a, float b, uint32_t (&parts)[kFactorParts]) {
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(parts[0]) : "f"(b), "f"(a));
  asm("cvt.rn.f16x2.f32 %0, %1, %2;"
      : "=r"(parts[1])
      : "f"(b - F16Factor::high(parts[0])), "f"(a - F16Factor::low(parts[0])));
}

}  // namespace musaic::mla_decode_sm90
