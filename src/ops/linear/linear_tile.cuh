#pragma once

#include <type_traits>

#include "backends/gpu/row_packs.cuh"
#include "gpu_launch.cuh"
#include "gpu_narrow_matrix.cuh"
#include "ops/linear/linear_tile_gpu.h"
#include "ops/linear/stripes_gpu.cuh"

// What all shapes of a tiled product share. x is one bf16 value, or the sum of two, which differs from it by
// 2^-18 of its size at most. k is cut in segments of whole chunks. In a segment each part of x has a chain of
// products; the chains' sums, and then the segments in order, are added: so every shape gets the same bits.
// Within a chunk, lane 4 · g + t of a warp has the values 8t .. 8t + 7 of row g: 16 bytes that serve two
// products as they lie.
namespace musaic {

inline constexpr int kChunk = 32;
inline constexpr int kMaxSegments = 16;
inline constexpr int kSquare = 16;     // rows of the weight in a product
inline constexpr int kOctet = 8;       // rows of x in a product
inline constexpr int kExactParts = 2;  // of x

// Calls `use` with the number of parts that the call's x has.
template <class Use>
auto with_parts(const LinearTileCall& call, Use use) {
  return call.rounds_x ? use(std::integral_constant<int, 1>())
                       : use(std::integral_constant<int, kExactParts>());
}

// The cut of k, a function of k alone.
struct Segments {
  int chunks;  // of k
  int length;  // chunks of a segment; the last may have fewer
  int count;
  float inverse_k;

  static Segments of(int64_t k) {
    constexpr int kMinLength = 2;
    const int chunks = static_cast<int>(k / kChunk);
    int length = (chunks + kMaxSegments - 1) / kMaxSegments;
    if (length < kMinLength) length = kMinLength;
    return {chunks, length, (chunks + length - 1) / length, 1.0f / static_cast<float>(k)};
  }
};

// A lane's share of sixteen rows of a weight's chunk.
struct WeightChunk {
  uint4 low;   // row g
  uint4 high;  // row g + 8

  __device__ void left(int half, uint32_t (&words)[4]) const {
    words[0] = half == 0 ? low.x : low.z;
    words[1] = half == 0 ? high.x : high.z;
    words[2] = half == 0 ? low.y : low.w;
    words[3] = half == 0 ? high.y : high.w;
  }
};

// A lane's share of eight rows of x's chunk: the larger part first.
template <int kParts>
struct XChunk {
  uint4 parts[kParts];

  __device__ void right(int part, int half, uint32_t (&words)[2]) const {
    words[0] = half == 0 ? parts[part].x : parts[part].z;
    words[1] = half == 0 ? parts[part].y : parts[part].w;
  }
};

// Two neighbours as parts, the larger ones first.
template <int kParts>
__device__ void split_pair(float a, float b, uint32_t (&parts)[kParts]) {
  parts[0] = bf16_pair(a, b);
  if constexpr (kParts == kExactParts)
    parts[1] = bf16_pair(a - __uint_as_float(parts[0] << 16), b - __uint_as_float(parts[0] & 0xFFFF0000u));
}

template <int kParts>
__device__ XChunk<kParts> split_values(const float (&x)[8]) {
  uint32_t words[4][kParts];
#pragma unroll
  for (int i = 0; i < 4; ++i) split_pair(x[2 * i], x[2 * i + 1], words[i]);
  XChunk<kParts> chunk;
#pragma unroll
  for (int part = 0; part < kParts; ++part)
    chunk.parts[part] = make_uint4(words[0][part], words[1][part], words[2][part], words[3][part]);
  return chunk;
}

// The sums of one segment, a chain a part of x.
template <int kParts>
struct ChainSums {
  float parts[kParts][4];

  __device__ void clear() {
#pragma unroll
    for (int part = 0; part < kParts; ++part) {
#pragma unroll
      for (int i = 0; i < 4; ++i) parts[part][i] = 0.0f;
    }
  }
  __device__ float sum(int i) const {
    if constexpr (kParts == 1) return parts[0][i];
    return __fadd_rn(parts[0][i], parts[kParts - 1][i]);
  }
};

// sums[s][o] += weight s · x o of one chunk. Products that follow one another belong to different sums, so
// that none waits for the one before it.
template <int kParts, int kSquares, int kOctets>
__device__ void add_products(const WeightChunk (&weights)[kSquares], const XChunk<kParts> (&x)[kOctets],
                             ChainSums<kParts> (&sums)[kSquares][kOctets]) {
#pragma unroll
  for (int half = 0; half < 2; ++half) {
#pragma unroll
    for (int part = 0; part < kParts; ++part) {
#pragma unroll
      for (int o = 0; o < kOctets; ++o) {
        uint32_t right[2];
        x[o].right(part, half, right);
#pragma unroll
        for (int s = 0; s < kSquares; ++s) {
          uint32_t left[4];
          weights[s].left(half, left);
          Bf16Product::add(sums[s][o].parts[part], left, right);
        }
      }
    }
  }
}

// Eight values of x; zeros where there are none.
__device__ inline void load_x(const float* from, bool is_there, bool is_aligned, float (&x)[8]) {
  float4 low = make_float4(0, 0, 0, 0), high = low;
  if (is_there && is_aligned) {
    low = reinterpret_cast<const float4*>(from)[0];
    high = reinterpret_cast<const float4*>(from)[1];
  } else if (is_there) {
    low = make_float4(from[0], from[1], from[2], from[3]);
    high = make_float4(from[4], from[5], from[6], from[7]);
  }
  x[0] = low.x, x[1] = low.y, x[2] = low.z, x[3] = low.w;
  x[4] = high.x, x[5] = high.y, x[6] = high.z, x[7] = high.w;
}

__device__ inline void load_norm_weight(const LinearTileCall& call, int64_t column, float (&weights)[8]) {
  if (call.norm_dtype == DType::kBF16) {
    const uint4 raw =
        *reinterpret_cast<const uint4*>(static_cast<const gpuBfloat16*>(call.norm_weight) + column);
    const uint32_t words[4] = {raw.x, raw.y, raw.z, raw.w};
#pragma unroll
    for (int i = 0; i < 8; ++i)
      weights[i] = __uint_as_float(i % 2 == 0 ? words[i / 2] << 16 : words[i / 2] & 0xFFFF0000u);
    return;
  }
#pragma unroll
  for (int i = 0; i < 8; ++i) weights[i] = bias_value(call.norm_weight, call.norm_dtype, column + i);
}

// Eight values of x times the norm's weights; their squares onto `squares`.
__device__ inline void apply_norm_weight(const float (&weights)[8], float (&x)[8], float& squares) {
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    squares = fmaf(x[i], x[i], squares);
    x[i] = __fmul_rn(x[i], weights[i]);
  }
}

// The lanes' squares of a row's segment as one sum, in all four of them.
__device__ inline float sum_over_quad(float value) {
  value += __shfl_xor_sync(0xffffffffu, value, 1);
  return value + __shfl_xor_sync(0xffffffffu, value, 2);
}

// 1 / sqrt(mean + eps).
__device__ inline float norm_factor(float squares, float inverse_width, float eps) {
  return rsqrtf(fmaf(squares, inverse_width, eps));
}

inline __host__ __device__ int64_t weight_rows_of(const LinearTileCall& call) {
  return call.swiglu ? 2 * call.linear.y.width : call.linear.y.width;
}

// The first row of the weight of a block's square number `square`: for swiglu, squares of the first half and
// of the second take turns.
__device__ inline int64_t square_begin(const LinearTileCall& call, int64_t block_column, int square) {
  if (!call.swiglu) return block_column + square * kSquare;
  return block_column + square / 2 * kSquare + (square % 2 == 0 ? 0 : call.linear.y.width);
}

// Of row `row` of the weight; 0 where there is none.
__device__ inline float bias_of(const LinearTileCall& call, int64_t row) {
  return call.linear.bias != nullptr ? bias_value(call.linear.bias, call.linear.bias_dtype, row) : 0.0f;
}

// A value of h · weightᵀ + bias.
__device__ inline float finish_sum(float sum, float factor, float bias) {
  return __fadd_rn(__fmul_rn(sum, factor), bias);
}

// silu(gate) · up, within some units of the last place.
__device__ inline float swiglu_of(float gate, float up) {
  return __fmul_rn(__fdividef(gate, __fadd_rn(1.0f, __expf(-gate))), up);
}

// The same of four neighbouring rows of the weight.
__device__ inline float4 finish_sums(const LinearTileCall& call, const float4& sums, float factor,
                                     int64_t row) {
  float4 bias = make_float4(0, 0, 0, 0);
  if (call.linear.bias != nullptr)
    bias = make_float4(bias_of(call, row), bias_of(call, row + 1), bias_of(call, row + 2),
                       bias_of(call, row + 3));
  return make_float4(finish_sum(sums.x, factor, bias.x), finish_sum(sums.y, factor, bias.y),
                     finish_sum(sums.z, factor, bias.z), finish_sum(sums.w, factor, bias.w));
}
__device__ inline float4 swiglu_of(const float4& gate, const float4& up) {
  return make_float4(swiglu_of(gate.x, up.x), swiglu_of(gate.y, up.y), swiglu_of(gate.z, up.z),
                     swiglu_of(gate.w, up.w));
}
__device__ inline float4 sum_of(const float4& a, const float4& b) {
  return make_float4(__fadd_rn(a.x, b.x), __fadd_rn(a.y, b.y), __fadd_rn(a.z, b.z), __fadd_rn(a.w, b.w));
}

}  // namespace musaic
