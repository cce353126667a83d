#pragma once

#include <cstdint>

#include "backends/gpu/device_math.cuh"
#include "tensor/dtype.h"

// Weights of every type in packets of eight values of a row, so that device code reads them where they lie.
// `load` only reads memory, so that many packets can be under way; the other members compute.
namespace musaic {

inline constexpr int kPacket = 8;

// The value of 8 bits without a conversion instruction: 2^23 + code has the code in its lowest bits.
__device__ inline float code_value(uint32_t word, int byte, int zero) {
  constexpr uint32_t kTwoTo23 = 0x4B000000u;
  const float shifted = __uint_as_float(kTwoTo23 | (word >> (8 * byte) & 0xFFu));
  return shifted - static_cast<float>((1 << 23) + zero);
}

__device__ inline float half_value(uint32_t bits) {
  return __half2float(__ushort_as_half(static_cast<unsigned short>(bits)));
}

// Eight bytes at an even address.
__device__ inline void load_even(const uint8_t* from, uint32_t (&words)[2]) {
  const uint16_t* half = reinterpret_cast<const uint16_t*>(from);
  words[0] = half[0] | static_cast<uint32_t>(half[1]) << 16;
  words[1] = half[2] | static_cast<uint32_t>(half[3]) << 16;
}
__device__ inline void load_words(const uint8_t* from, uint32_t (&words)[2]) {
  const uint32_t* word = reinterpret_cast<const uint32_t*>(from);
  words[0] = word[0];
  words[1] = word[1];
}

// Codes of a block-quantized type: value = (code − kZero) · scale, or code · scale + offset where the type
// has a min. Packet p is a quarter of block p / 4 (of 32 values).
// The bits 0..3 (or 0..7) of eight codes, byte by byte, at `shift`; those above them likewise.
struct CodeBits {
  uint32_t low[2];
  uint32_t high[2];
};

// The fifth bits of eight codes lie side by side in a byte; to bit 4 of a byte each.
__device__ inline uint32_t spread_fifth_bits(uint32_t four_bits) {
  return (four_bits * 0x00204081u & 0x01010101u) << 4;
}

template <DType kType>
struct BlockPacket;

// Q4_0, Q4_1, Q5_0, Q5_1: 16 bytes of nibbles, low halves first.
template <bool kMin, bool kFive>
struct NibblePacket {
  static constexpr bool kHasMin = kMin;
  static constexpr int kZero = kMin ? 0 : (kFive ? 16 : 8);
  static constexpr int kScaleBytes = kMin ? 4 : 2;
  static constexpr int kNibbles = kScaleBytes + (kFive ? 4 : 0);
  static constexpr int kBytes = kNibbles + 16;
  static constexpr int kMaxCode = kFive ? 31 : 15;

  uint32_t scales;
  uint32_t words[2];
  uint32_t fifth;

  __device__ void load(const uint8_t* row, int packet) {
    const uint8_t* block = row + static_cast<int64_t>(packet / 4) * kBytes;
    const int quarter = packet % 4;
    if (kMin) {
      scales = *reinterpret_cast<const uint32_t*>(block);
      load_words(block + kNibbles + quarter % 2 * 8, words);
    } else {
      scales = *reinterpret_cast<const uint16_t*>(block);
      load_even(block + kNibbles + quarter % 2 * 8, words);
    }
    fifth = kFive ? block[kScaleBytes + quarter] : 0;
  }
  __device__ void codes(int packet, uint32_t (&out)[2]) const {
    const int shift = packet % 4 / 2 * 4;
    for (int i = 0; i < 2; ++i) {
      out[i] = words[i] >> shift & 0x0F0F0F0Fu;
      if (kFive) out[i] |= spread_fifth_bits(fifth >> (4 * i) & 15u);
    }
  }
  __device__ float scale(int) const { return half_value(scales & 0xFFFFu); }
  __device__ float offset(int) const { return kMin ? half_value(scales >> 16) : 0.0f; }
};

template <>
struct BlockPacket<DType::kQ4_0> : NibblePacket<false, false> {};
template <>
struct BlockPacket<DType::kQ4_1> : NibblePacket<true, false> {};
template <>
struct BlockPacket<DType::kQ5_0> : NibblePacket<false, true> {};
template <>
struct BlockPacket<DType::kQ5_1> : NibblePacket<true, true> {};

template <>
struct BlockPacket<DType::kQ8_0> {
  static constexpr bool kHasMin = false;
  static constexpr int kZero = 128;

  uint32_t d;
  uint32_t words[2];

  __device__ void load(const uint8_t* row, int packet) {
    const uint8_t* block = row + static_cast<int64_t>(packet / 4) * 34;
    d = *reinterpret_cast<const uint16_t*>(block);
    load_even(block + 2 + packet % 4 * 8, words);
  }
  __device__ void codes(int, uint32_t (&out)[2]) const {
    for (int i = 0; i < 2; ++i) out[i] = words[i] ^ 0x80808080u;
  }
  __device__ float scale(int) const { return half_value(d); }
  __device__ float offset(int) const { return 0.0f; }
};

// Q4_K, Q5_K: sub-block j of 8 has its nibbles in bytes 32 · (j / 2) .., its fifth bits in bit j of 32 bytes.
template <bool kFive>
struct SuperBlockPacket {
  static constexpr bool kHasMin = true;
  static constexpr int kZero = 0;
  static constexpr int kFifthBits = 16;
  static constexpr int kNibbles = kFive ? 48 : 16;
  static constexpr int kBytes = kNibbles + 128;

  uint32_t d_and_m;
  uint32_t packed[3];  // of the sub-block's 6-bit scale and min: bytes j % 4, + 4, + 8
  uint32_t words[2];
  uint32_t fifth[2];

  __device__ void load(const uint8_t* row, int packet) {
    const uint8_t* block = row + static_cast<int64_t>(packet / 32) * kBytes;
    const int j = packet / 4 % 8, quarter = packet % 4;
    d_and_m = *reinterpret_cast<const uint32_t*>(block);
    for (int i = 0; i < 3; ++i) packed[i] = block[4 + j % 4 + 4 * i];
    load_words(block + kNibbles + j / 2 * 32 + quarter * 8, words);
    if (kFive) load_words(block + kFifthBits + quarter * 8, fifth);
  }
  __device__ void codes(int packet, uint32_t (&out)[2]) const {
    const int j = packet / 4 % 8;
    for (int i = 0; i < 2; ++i) {
      out[i] = words[i] >> (j % 2 * 4) & 0x0F0F0F0Fu;
      if (kFive) out[i] |= (fifth[i] >> j & 0x01010101u) << 4;
    }
  }
  __device__ float scale(int packet) const {
    const bool first = packet / 4 % 8 < 4;
    const uint32_t sub = first ? packed[0] & 63u : (packed[2] & 15u) | packed[0] >> 6 << 4;
    return half_value(d_and_m & 0xFFFFu) * static_cast<float>(sub);
  }
  __device__ float offset(int packet) const {
    const bool first = packet / 4 % 8 < 4;
    const uint32_t sub = first ? packed[1] & 63u : packed[2] >> 4 | packed[1] >> 6 << 4;
    return -(half_value(d_and_m >> 16) * static_cast<float>(sub));
  }
};

template <>
struct BlockPacket<DType::kQ4_K> : SuperBlockPacket<false> {};
template <>
struct BlockPacket<DType::kQ5_K> : SuperBlockPacket<true> {};

// Each half of 128 values has four groups of 32: group g has the low or (g ≥ 2) high nibbles of bytes
// 32 · (g % 2) .. and the bit pairs g of 32 bytes. A scale is for 16 values.
template <>
struct BlockPacket<DType::kQ6_K> {
  static constexpr bool kHasMin = false;
  static constexpr int kZero = 32;

  uint32_t d;
  int32_t sub_scale;
  uint32_t words[2];
  uint32_t pairs[2];

  __device__ void load(const uint8_t* row, int packet) {
    const uint8_t* block = row + static_cast<int64_t>(packet / 32) * 210;
    const int j = packet / 4 % 8, quarter = packet % 4;
    d = *reinterpret_cast<const uint16_t*>(block + 208);
    sub_scale = reinterpret_cast<const int8_t*>(block)[192 + 2 * j + quarter / 2];
    load_even(block + j / 4 * 64 + j % 2 * 32 + quarter * 8, words);
    load_even(block + 128 + j / 4 * 32 + quarter * 8, pairs);
  }
  __device__ void codes(int packet, uint32_t (&out)[2]) const {
    const int group = packet / 4 % 4;
    for (int i = 0; i < 2; ++i)
      out[i] = (words[i] >> (group / 2 * 4) & 0x0F0F0F0Fu) | (pairs[i] >> (group * 2) & 0x03030303u) << 4;
  }
  __device__ float scale(int) const { return half_value(d) * static_cast<float>(sub_scale); }
  __device__ float offset(int) const { return 0.0f; }
};

// Eight values of a weight row as float32, exactly those of tensor/dequantize.h.
// REQUIRES: rows begin at an even address, those of float types at a multiple of 16, those of blocks with a
// min at a multiple of 4.
template <DType kType>
struct WeightPacket {
  BlockPacket<kType> block;

  __device__ void load(const uint8_t* row, int packet) { block.load(row, packet); }
  __device__ void values(int packet, float (&out)[kPacket]) const {
    uint32_t codes[2];
    block.codes(packet, codes);
    const float scale = block.scale(packet), offset = block.offset(packet);
    for (int i = 0; i < kPacket; ++i) {
      const float code = code_value(codes[i / 4], i % 4, BlockPacket<kType>::kZero);
      out[i] = BlockPacket<kType>::kHasMin ? fmaf(code, scale, offset) : code * scale;
    }
  }
};

template <>
struct WeightPacket<DType::kF32> {
  float4 low, high;

  __device__ void load(const uint8_t* row, int packet) {
    const float4* from = reinterpret_cast<const float4*>(row) + 2 * static_cast<int64_t>(packet);
    low = from[0];
    high = from[1];
  }
  __device__ void values(int, float (&out)[kPacket]) const {
    out[0] = low.x, out[1] = low.y, out[2] = low.z, out[3] = low.w;
    out[4] = high.x, out[5] = high.y, out[6] = high.z, out[7] = high.w;
  }
};

template <>
struct WeightPacket<DType::kF16> {
  uint4 words;

  __device__ void load(const uint8_t* row, int packet) {
    words = reinterpret_cast<const uint4*>(row)[packet];
  }
  __device__ void values(int, float (&out)[kPacket]) const {
    const uint32_t all[4] = {words.x, words.y, words.z, words.w};
    for (int i = 0; i < kPacket; ++i) out[i] = half_value(all[i / 2] >> (i % 2 * 16) & 0xFFFFu);
  }
};

template <>
struct WeightPacket<DType::kBF16> {
  uint4 words;

  __device__ void load(const uint8_t* row, int packet) {
    words = reinterpret_cast<const uint4*>(row)[packet];
  }
  __device__ void values(int, float (&out)[kPacket]) const {
    const uint32_t all[4] = {words.x, words.y, words.z, words.w};
    for (int i = 0; i < kPacket; ++i)
      out[i] = __uint_as_float(i % 2 == 0 ? all[i / 2] << 16 : all[i / 2] & 0xFFFF0000u);
  }
};

template <DType kType>
inline constexpr bool kIsFloatType = kType == DType::kF32 || kType == DType::kF16 || kType == DType::kBF16;

// Values 8 · packet .. of a row of `width` values of a float type, at any address; 0 behind its end.
template <DType kType>
__device__ inline void load_part(const uint8_t* row, int packet, int64_t width, float (&out)[kPacket]) {
  static_assert(kIsFloatType<kType>, "blocks are never cut");
  const int64_t first = static_cast<int64_t>(packet) * kPacket;
  for (int i = 0; i < kPacket; ++i) {
    out[i] = 0.0f;
    if (first + i >= width) continue;
    if (kType == DType::kF32) out[i] = reinterpret_cast<const float*>(row)[first + i];
    if (kType == DType::kF16) out[i] = half_value(reinterpret_cast<const uint16_t*>(row)[first + i]);
    if (kType == DType::kBF16)
      out[i] =
          __uint_as_float(static_cast<uint32_t>(reinterpret_cast<const uint16_t*>(row)[first + i]) << 16);
  }
}

// A type as a template argument: `[&](auto weight) { f<decltype(weight)::value>(); }`.
template <DType kType>
using WeightType = std::integral_constant<DType, kType>;

// Calls `use` with the WeightType of a float or block-quantized dtype.
template <class Use>
void with_weight_type(DType dtype, Use use) {
  switch (dtype) {
    case DType::kF16:
      return use(WeightType<DType::kF16>());
    case DType::kBF16:
      return use(WeightType<DType::kBF16>());
    case DType::kQ8_0:
      return use(WeightType<DType::kQ8_0>());
    case DType::kQ4_0:
      return use(WeightType<DType::kQ4_0>());
    case DType::kQ4_1:
      return use(WeightType<DType::kQ4_1>());
    case DType::kQ5_0:
      return use(WeightType<DType::kQ5_0>());
    case DType::kQ5_1:
      return use(WeightType<DType::kQ5_1>());
    case DType::kQ4_K:
      return use(WeightType<DType::kQ4_K>());
    case DType::kQ5_K:
      return use(WeightType<DType::kQ5_K>());
    case DType::kQ6_K:
      return use(WeightType<DType::kQ6_K>());
    default:
      return use(WeightType<DType::kF32>());
  }
}

}  // namespace musaic
