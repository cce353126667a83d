#pragma once

#include "backends/gpu/weight_packet.cuh"
#include "gpu_matrix.cuh"

// Factors of 16 bits for products in known lanes (gpu_matrix.cuh), two of them a word.
namespace musaic {

// The calling thread as lane 4g + t of a warp.
struct MatrixLane {
  int warp;
  int g;
  int t;

  __device__ MatrixLane()
      : warp(static_cast<int>(threadIdx.x) / 32),
        g(static_cast<int>(threadIdx.x) % 32 / 4),
        t(static_cast<int>(threadIdx.x) % 4) {}
};

struct F16Factor {
  using Product = F16Product;
  static __device__ uint32_t pack(float a, float b) {
    return static_cast<uint32_t>(__half_as_ushort(__float2half_rn(a))) |
           static_cast<uint32_t>(__half_as_ushort(__float2half_rn(b))) << 16;
  }
  static __device__ float low(uint32_t word) { return half_value(word & 0xFFFFu); }
  static __device__ float high(uint32_t word) { return half_value(word >> 16); }
};

struct Bf16Factor {
  using Product = Bf16Product;
  static __device__ uint32_t pack(float a, float b) {
    return static_cast<uint32_t>(__bfloat16_as_ushort(__float2bfloat16_rn(a))) |
           static_cast<uint32_t>(__bfloat16_as_ushort(__float2bfloat16_rn(b))) << 16;
  }
  static __device__ float low(uint32_t word) { return __uint_as_float(word << 16); }
  static __device__ float high(uint32_t word) { return __uint_as_float(word & 0xFFFF0000u); }
};

// Float32 factors as the sum of so many, the larger one first.
inline constexpr int kFactorParts = 2;

template <class Factor>
__device__ inline void split_pair(float a, float b, uint32_t (&parts)[kFactorParts]) {
  parts[0] = Factor::pack(a, b);
  parts[1] = Factor::pack(a - Factor::low(parts[0]), b - Factor::high(parts[0]));
}

// The lower or the upper values of two words side by side.
__device__ inline uint32_t lower_halves(uint32_t first, uint32_t second) {
  return (first & 0xFFFFu) | second << 16;
}
__device__ inline uint32_t upper_halves(uint32_t first, uint32_t second) {
  return first >> 16 | (second & 0xFFFF0000u);
}

// kv_b's values as exact factors, eight at once.
template <DType kType>
struct KvBPacket;

template <>
struct KvBPacket<DType::kF8E4M3> {
  using Factor = F16Factor;
  uint2 bytes;

  __device__ void load(const uint8_t* kv_b, int64_t first) {
    bytes = *reinterpret_cast<const uint2*>(kv_b + first);
  }
  __device__ void words(uint32_t (&out)[4]) const {
    out[0] = f8e4m3_as_f16(bytes.x & 0xFFFFu), out[1] = f8e4m3_as_f16(bytes.x >> 16);
    out[2] = f8e4m3_as_f16(bytes.y & 0xFFFFu), out[3] = f8e4m3_as_f16(bytes.y >> 16);
  }
};

template <>
struct KvBPacket<DType::kBF16> {
  using Factor = Bf16Factor;
  uint4 bits;

  __device__ void load(const uint8_t* kv_b, int64_t first) {
    bits = *reinterpret_cast<const uint4*>(kv_b + 2 * first);
  }
  __device__ void words(uint32_t (&out)[4]) const {
    out[0] = bits.x, out[1] = bits.y, out[2] = bits.z, out[3] = bits.w;
  }
};

}  // namespace musaic
