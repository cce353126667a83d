#pragma once

#include <cstdint>
#include <cstring>

// Conversions between float and the 16-bit and 8-bit formats, one value at a time. Into the smaller format
// they round to nearest, ties to even; a NaN stays one. C++17 only: device sources include this too.
namespace musaic {

inline uint32_t float_to_bits(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return bits;
}

inline float float_from_bits(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

inline float bf16_to_float(uint16_t bf16) {
  return float_from_bits(static_cast<uint32_t>(bf16) << 16);
}

// Above the largest finite value: infinite.
inline uint16_t float_to_bf16(float value) {
  const uint32_t bits = float_to_bits(value);
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return static_cast<uint16_t>((bits >> 16) | 0x40u);
  return static_cast<uint16_t>((bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16);
}

inline float f16_to_float(uint16_t f16) {
  const uint32_t sign = static_cast<uint32_t>(f16 & 0x8000u) << 16;
  const uint32_t magnitude = f16 & 0x7FFFu;
  if (magnitude >= 0x7C00u) return float_from_bits(sign | 0x7F800000u | ((magnitude & 0x3FFu) << 13));
  if (magnitude >= 0x400u) return float_from_bits(sign | ((magnitude + (112u << 10)) << 13));
  const float subnormal = static_cast<float>(magnitude) * 0x1p-24f;
  return float_from_bits(sign | float_to_bits(subnormal));
}

// From 65520 on: infinite.
inline uint16_t float_to_f16(float value) {
  const uint32_t bits = float_to_bits(value);
  const uint32_t sign = (bits >> 16) & 0x8000u;
  const uint32_t magnitude = bits & 0x7FFFFFFFu;
  if (magnitude > 0x7F800000u) return static_cast<uint16_t>(sign | 0x7E00u | ((magnitude >> 13) & 0x3FFu));
  if (magnitude >= 0x477FF000u) return static_cast<uint16_t>(sign | 0x7C00u);
  if (magnitude < 0x38800000u) {  // below 2^-14: the sum's last place is the step of subnormals, 2^-24
    const float sum = float_from_bits(magnitude) + 0.5f;
    return static_cast<uint16_t>(sign | (float_to_bits(sum) - float_to_bits(0.5f)));
  }
  const uint32_t rounded = magnitude - (112u << 23) + 0xFFFu + ((magnitude >> 13) & 1u);
  return static_cast<uint16_t>(sign | (rounded >> 13));
}

// FP8 with 4 exponent and 3 fraction bits: no infinity, one NaN of each sign, 448 the largest.
inline float f8e4m3_to_float(uint8_t f8) {
  const uint32_t sign = static_cast<uint32_t>(f8 & 0x80u) << 24;
  const uint32_t magnitude = f8 & 0x7Fu;
  if (magnitude == 0x7Fu) return float_from_bits(sign | 0x7FC00000u);
  if (magnitude >= 0x08u) return float_from_bits(sign | ((magnitude + (120u << 3)) << 20));
  const float subnormal = static_cast<float>(magnitude) * 0x1p-9f;
  return float_from_bits(sign | float_to_bits(subnormal));
}

// Saturating: from 448 on, and for infinity, 448.
inline uint8_t float_to_f8e4m3(float value) {
  const uint32_t bits = float_to_bits(value);
  const uint32_t sign = (bits >> 24) & 0x80u;
  const uint32_t magnitude = bits & 0x7FFFFFFFu;
  if (magnitude > 0x7F800000u) return static_cast<uint8_t>(sign | 0x7Fu);
  if (magnitude >= 0x43E00000u) return static_cast<uint8_t>(sign | 0x7Eu);
  if (magnitude < 0x3C800000u) {  // below 2^-6: the sum's last place is the step of subnormals, 2^-9
    const float sum = float_from_bits(magnitude) + 16384.0f;
    return static_cast<uint8_t>(sign | (float_to_bits(sum) - float_to_bits(16384.0f)));
  }
  const uint32_t rounded = magnitude - (120u << 23) + 0x7FFFFu + ((magnitude >> 20) & 1u);
  return static_cast<uint8_t>(sign | (rounded >> 20));
}

}  // namespace musaic
