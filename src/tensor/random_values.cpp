#include "tensor/random_values.h"

#include "tensor/half.h"

namespace musaic {
namespace {

// SplitMix64 at its step `index`; of its 64 bits four uniform numbers, added: each has variance 2^32 / 12.
float normal_at(uint64_t seed, uint64_t index) {
  uint64_t bits = seed + (index + 1) * 0x9E3779B97F4A7C15u;
  bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9u;
  bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EBu;
  bits ^= bits >> 31;
  const uint64_t sum = (bits & 0xFFFF) + (bits >> 16 & 0xFFFF) + (bits >> 32 & 0xFFFF) + (bits >> 48);
  constexpr float kMean = 4 * 65535 / 2.0f;
  constexpr float kInverseDeviation = 1.7320508f / 65536;
  return (static_cast<float>(sum) - kMean) * kInverseDeviation;
}

void store(float value, float* out) {
  *out = value;
}
void store(float value, uint16_t* out) {
  *out = float_to_bf16(value);
}
void store(float value, uint8_t* out) {
  *out = float_to_f8e4m3(value);
}

template <class T>
void fill_as(const RandomValues& values, uint64_t first, int64_t count, std::byte* out) {
  auto* to = reinterpret_cast<T*>(out);
  for (int64_t i = 0; i < count; ++i) store(values.at(first + static_cast<uint64_t>(i)), to + i);
}

}  // namespace

float RandomValues::at(uint64_t index) const {
  return mean + deviation * normal_at(seed, index);
}

void RandomValues::fill(DType dtype, uint64_t first, int64_t count, std::byte* out) const {
  if (dtype == DType::kF8E4M3) return fill_as<uint8_t>(*this, first, count, out);
  if (dtype == DType::kBF16) return fill_as<uint16_t>(*this, first, count, out);
  fill_as<float>(*this, first, count, out);
}

}  // namespace musaic
