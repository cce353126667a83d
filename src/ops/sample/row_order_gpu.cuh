#pragma once

#include <cstdint>

#include "backends/gpu/device_math.cuh"

// The order and the weights of one row's logits on a GPU, with the bits of sample/row_kernels.h: descending
// logit, equal ones by id; a weight exp((logit - max) · scale) as a whole number of quanta of 2^-34, so that
// sums are exact in any order.
namespace musaic {

using TokenOrder = unsigned long long;  // descending key, then id
using Quanta = unsigned long long;

inline constexpr int kRowThreads = 512;  // of every block that works on a row
inline constexpr int kRowWarps = kRowThreads / kWarpSize;
inline constexpr double kQuantaInOne = 17179869184.0;  // 2^34

__device__ inline float lowest_logit() {
  return __uint_as_float(0xff800000u);  // -inf
}

inline constexpr float kLargestLogit = 3.402823466e+38f;

// NaN as -inf, +inf as the largest float, -0 as 0.
__device__ inline float clean_logit(float logit) {
  if (logit != logit) return lowest_logit();
  return __fadd_rn(logit < kLargestLogit ? logit : kLargestLogit, 0.0f);
}

// Ascending where the logit descends. REQUIRES: a clean logit.
__device__ inline uint32_t descending_key(float logit) {
  const uint32_t bits = __float_as_uint(logit);
  return (bits & 0x80000000u) != 0 ? bits : 0x7fffffffu - bits;
}

__device__ inline TokenOrder token_order(float logit, int64_t id) {
  return static_cast<TokenOrder>(descending_key(logit)) << 32 | static_cast<uint32_t>(id);
}
__device__ inline float logit_of(TokenOrder order) {
  const uint32_t key = static_cast<uint32_t>(order >> 32);
  return __uint_as_float((key & 0x80000000u) != 0 ? key : 0x7fffffffu - key);
}
__device__ inline int32_t id_of(TokenOrder order) {
  return static_cast<int32_t>(order & 0xffffffffu);
}

// What weights of a row are relative to.
struct WeightScale {
  float max;    // the row's largest clean logit
  float scale;  // 1 / temperature

  // At most 0, and no larger for a smaller logit; NaN if max is -inf.
  __device__ float exponent(float logit) const { return __fmul_rn(__fadd_rn(logit, -max), scale); }
};

__device__ inline float power_of_two(int exponent) {
  return __int_as_float((exponent + 127) << 23);
}

// exp of the exponent: Highway's exp, operation by operation, which the CPU's kernels use. 0 for NaN.
__device__ inline float exp_weight(float exponent) {
  constexpr float kUnderflow = -104.0f;
  if (!(exponent >= kUnderflow)) return 0.0f;
  const float half = exponent < 0.0f ? -0.5f : 0.5f;
  const int n = __float2int_rz(fmaf(exponent, static_cast<float>(1.442695040888963407359924681), half));
  const float rounded = static_cast<float>(n);
  float x = fmaf(rounded, -0.693145751953125f, exponent);  // ln 2 in two parts, the first exact
  x = fmaf(rounded, -1.428606765330187045e-6f, x);
  const float x2 = __fmul_rn(x, x);
  const float x4 = __fmul_rn(x2, x2);
  const float low = fmaf(0.166666671633720397949219f, x, 0.5f);
  const float middle = fmaf(0.00833336077630519866943359f, x, 0.0416664853692054748535156f);
  const float high = fmaf(0.000198527617612853646278381f, x, 0.00139304355252534151077271f);
  const float series = fmaf(x4, high, fmaf(x2, middle, low));
  const float y = __fadd_rn(fmaf(series, x2, x), 1.0f);
  const int first = n >> 1;
  return __fmul_rn(__fmul_rn(y, power_of_two(first)), power_of_two(n - first));
}

// Rounded to nearest even. REQUIRES: at most 1.
__device__ inline Quanta quanta_of(float weight) {
  return __float2ull_rn(__fmul_rn(weight, static_cast<float>(kQuantaInOne)));
}

// The least of a warp's values, in every lane.
__device__ inline TokenOrder warp_min(TokenOrder value) {
  for (int distance = kWarpSize / 2; distance > 0; distance /= 2) {
    const TokenOrder other = __shfl_xor_sync(0xffffffffu, value, distance);
    if (other < value) value = other;
  }
  return value;
}

// Block-wide results, in every thread. REQUIRES for each: all kRowThreads threads take part; `scratch` is
// shared, kRowWarps values, and not in use.
__device__ inline TokenOrder block_min(TokenOrder value, TokenOrder* scratch) {
  value = warp_min(value);
  if (threadIdx.x % kWarpSize == 0) scratch[threadIdx.x / kWarpSize] = value;
  __syncthreads();
  for (int warp = 0; warp < kRowWarps; ++warp) {
    if (scratch[warp] < value) value = scratch[warp];
  }
  __syncthreads();
  return value;
}

// The sum over the threads up to and with this one, and over all of them.
struct BlockScan {
  Quanta inclusive;
  Quanta total;
};

__device__ inline BlockScan block_scan(Quanta value, Quanta* scratch) {
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  const int warp = static_cast<int>(threadIdx.x) / kWarpSize;
  for (int distance = 1; distance < kWarpSize; distance *= 2) {
    const Quanta lower = __shfl_up_sync(0xffffffffu, value, distance);
    if (lane >= distance) value += lower;
  }
  if (lane == kWarpSize - 1) scratch[warp] = value;
  __syncthreads();
  Quanta before = 0;
  Quanta total = 0;
  for (int i = 0; i < kRowWarps; ++i) {
    if (i < warp) before += scratch[i];
    total += scratch[i];
  }
  __syncthreads();
  return {before + value, total};
}

}  // namespace musaic
