// Block-quantized weights as float32, compiled once a target: include inside a file that includes
// hwy/foreach_target.h. Plain loops that the compiler turns into vectors; exactly the values of
// tensor/dequantize.h. d and m of a block are f16.

#if defined(MUSAIC_OPS_LINEAR_DEQUANTIZE_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef MUSAIC_OPS_LINEAR_DEQUANTIZE_INL
#undef MUSAIC_OPS_LINEAR_DEQUANTIZE_INL
#else
#define MUSAIC_OPS_LINEAR_DEQUANTIZE_INL
#endif

#include <cstdint>
#include <cstring>

#include "hwy/highway.h"
#include "tensor/dtype.h"
#include "tensor/half.h"

HWY_BEFORE_NAMESPACE();
namespace musaic {
namespace HWY_NAMESPACE {
namespace {

HWY_INLINE float read_f16(const uint8_t* p) {
  uint16_t bits;
  std::memcpy(&bits, p, sizeof(bits));
  return f16_to_float(bits);
}

// out[i] = (nibble - offset) · d + m, the low halves of 16 bytes first.
HWY_INLINE void expand_nibbles(const uint8_t* nibbles, int offset, float d, float m,
                               float* HWY_RESTRICT out) {
  for (int i = 0; i < 16; ++i) out[i] = static_cast<float>((nibbles[i] & 0xF) - offset) * d + m;
  for (int i = 0; i < 16; ++i) out[16 + i] = static_cast<float>((nibbles[i] >> 4) - offset) * d + m;
}

HWY_INLINE void expand_five_bits(const uint8_t* nibbles, const uint8_t* high_bits, int offset, float d,
                                 float m, float* HWY_RESTRICT out) {
  uint32_t high;
  std::memcpy(&high, high_bits, sizeof(high));
  for (uint32_t i = 0; i < 16; ++i) {
    const int value = (nibbles[i] & 0xF) | static_cast<int>((high >> i & 1) << 4);
    out[i] = static_cast<float>(value - offset) * d + m;
  }
  for (uint32_t i = 0; i < 16; ++i) {
    const int value = nibbles[i] >> 4 | static_cast<int>((high >> (i + 16) & 1) << 4);
    out[16 + i] = static_cast<float>(value - offset) * d + m;
  }
}

void expand_q4_0(const uint8_t* block, float* HWY_RESTRICT out) {
  expand_nibbles(block + 2, 8, read_f16(block), 0, out);
}

void expand_q4_1(const uint8_t* block, float* HWY_RESTRICT out) {
  expand_nibbles(block + 4, 0, read_f16(block), read_f16(block + 2), out);
}

void expand_q5_0(const uint8_t* block, float* HWY_RESTRICT out) {
  expand_five_bits(block + 6, block + 2, 16, read_f16(block), 0, out);
}

void expand_q5_1(const uint8_t* block, float* HWY_RESTRICT out) {
  expand_five_bits(block + 8, block + 4, 0, read_f16(block), read_f16(block + 2), out);
}

void expand_q8_0(const uint8_t* block, float* HWY_RESTRICT out) {
  const float d = read_f16(block);
  const int8_t* values = reinterpret_cast<const int8_t*>(block + 2);
  for (int i = 0; i < 32; ++i) out[i] = static_cast<float>(values[i]) * d;
}

// The scale and min (6 bits each) of sub-block j of a Q4_K or Q5_K block.
HWY_INLINE void read_sub_scale(const uint8_t* packed, int j, int* scale, int* min) {
  if (j < 4) {
    *scale = packed[j] & 63;
    *min = packed[j + 4] & 63;
  } else {
    *scale = (packed[j + 4] & 0xF) | packed[j - 4] >> 6 << 4;
    *min = packed[j + 4] >> 4 | packed[j] >> 6 << 4;
  }
}

// `high_bits` is null for Q4_K.
HWY_INLINE void expand_k(const uint8_t* block, const uint8_t* high_bits, const uint8_t* nibbles,
                         float* HWY_RESTRICT out) {
  for (int j = 0; j < 8; ++j) {
    int scale, min;
    read_sub_scale(block + 4, j, &scale, &min);
    const float d = read_f16(block) * static_cast<float>(scale);
    const float m = read_f16(block + 2) * static_cast<float>(min);
    const uint8_t* bytes = nibbles + j / 2 * 32;
    const int shift = j % 2 * 4;
    for (int i = 0; i < 32; ++i) {
      const int high = high_bits == nullptr ? 0 : (high_bits[i] >> j & 1) << 4;
      out[32 * j + i] = d * static_cast<float>((bytes[i] >> shift & 0xF) | high) - m;
    }
  }
}

void expand_q4_k(const uint8_t* block, float* HWY_RESTRICT out) {
  expand_k(block, nullptr, block + 16, out);
}

void expand_q5_k(const uint8_t* block, float* HWY_RESTRICT out) {
  expand_k(block, block + 16, block + 48, out);
}

void expand_q6_k(const uint8_t* block, float* HWY_RESTRICT out) {
  const float d = read_f16(block + 208);
  const int8_t* scales = reinterpret_cast<const int8_t*>(block + 192);
  for (int part = 0; part < 16; ++part) {  // of 16 values with one scale
    const int half = part / 8, group = part / 2 % 4, first = part % 2 * 16;
    const uint8_t* low = block + half * 64 + group % 2 * 32 + first;
    const uint8_t* high = block + 128 + half * 32 + first;
    const float scale = d * static_cast<float>(scales[part]);
    for (int i = 0; i < 16; ++i) {
      const int value = (low[i] >> (group / 2 * 4) & 0xF) | (high[i] >> (group * 2) & 3) << 4;
      out[16 * part + i] = scale * static_cast<float>(value - 32);
    }
  }
}

using ExpandBlock = void (*)(const uint8_t* block, float* HWY_RESTRICT out);

HWY_INLINE ExpandBlock expand_block_of(DType dtype) {
  switch (dtype) {
    case DType::kQ4_0:
      return expand_q4_0;
    case DType::kQ4_1:
      return expand_q4_1;
    case DType::kQ5_0:
      return expand_q5_0;
    case DType::kQ5_1:
      return expand_q5_1;
    case DType::kQ4_K:
      return expand_q4_k;
    case DType::kQ5_K:
      return expand_q5_k;
    case DType::kQ6_K:
      return expand_q6_k;
    default:
      return expand_q8_0;
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace musaic
HWY_AFTER_NAMESPACE();

#endif
