// FP8 with 4 exponent and 3 fraction bits (e4m3), compiled once a target: include inside a file that includes
// hwy/foreach_target.h, after backends/cpu/simd.inl.

#if defined(MUSAIC_OPS_PER_TOKEN_GROUP_QUANT_F8_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef MUSAIC_OPS_PER_TOKEN_GROUP_QUANT_F8_INL
#undef MUSAIC_OPS_PER_TOKEN_GROUP_QUANT_F8_INL
#else
#define MUSAIC_OPS_PER_TOKEN_GROUP_QUANT_F8_INL
#endif

#include <cstdint>
#include <cstring>

#include "backends/cpu/simd.inl"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace musaic {
namespace HWY_NAMESPACE {

using IntTag = hn::RebindToSigned<FloatTag>;
using IntVector = hn::Vec<IntTag>;

// The bits of FP8 with 4 exponent and 3 fraction bits, as float_to_f8e4m3 gives them. REQUIRES: |value| ≤
// 448.
HWY_INLINE IntVector to_f8e4m3(FloatVector value) {
  const IntTag di;
  const auto bits = hn::BitCast(di, value);
  const auto sign = hn::And(hn::ShiftRight<24>(bits), hn::Set(di, 0x80));
  const auto magnitude = hn::And(bits, hn::Set(di, 0x7FFFFFFF));
  const auto odd = hn::And(hn::ShiftRight<20>(magnitude), hn::Set(di, 1));
  const auto bias = hn::Set(di, 0x7FFFF - (120 << 23));
  const auto normal = hn::ShiftRight<20>(hn::Add(magnitude, hn::Add(bias, odd)));
  const auto step = hn::Set(FloatTag(), 16384.0f);  // its last place is the step of subnormals, 2^-9
  const auto sum = hn::BitCast(di, hn::Add(hn::BitCast(FloatTag(), magnitude), step));
  const auto subnormal = hn::Sub(sum, hn::BitCast(di, step));
  const auto is_small = hn::Lt(magnitude, hn::Set(di, 0x3C800000));  // below 2^-6
  return hn::Or(sign, hn::IfThenElse(is_small, subnormal, normal));
}

// The values of FP8 bits, one in each lane. NaN has no special treatment: finite values only.
HWY_INLINE FloatVector from_f8e4m3(IntVector bits) {
  const IntTag di;
  const auto sign = hn::ShiftLeft<24>(hn::And(bits, hn::Set(di, 0x80)));
  const auto magnitude = hn::And(bits, hn::Set(di, 0x7F));
  const auto normal = hn::Add(hn::ShiftLeft<20>(magnitude), hn::Set(di, 120 << 23));
  const auto subnormal = hn::Mul(hn::ConvertTo(FloatTag(), magnitude), hn::Set(FloatTag(), 0x1p-9f));
  const auto is_small = hn::Lt(magnitude, hn::Set(di, 8));
  const auto value = hn::IfThenElse(is_small, hn::BitCast(di, subnormal), normal);
  return hn::BitCast(FloatTag(), hn::Or(sign, value));
}

// A value in memory. Loads and stores are overloads of simd.inl's.
struct F8E4M3 {
  uint8_t bits;
};

// Finite values only. By way of f16, whose exponents are larger by 8.
HWY_INLINE FloatVector load(const F8E4M3* from) {
  const hn::Rebind<uint8_t, FloatTag> d8;
  const hn::Rebind<int16_t, FloatTag> d16;
  const auto bytes = hn::PromoteTo(d16, hn::LoadU(d8, reinterpret_cast<const uint8_t*>(from)));
  const auto shifted = hn::ShiftRight<1>(hn::ShiftLeft<8>(bytes));  // the sign is at bits 14 and 15
  const auto bits = hn::And(shifted, hn::Set(d16, static_cast<int16_t>(0xBFFF)));
  const hn::Rebind<hwy::float16_t, FloatTag> df16;
  return hn::Mul(hn::PromoteTo(FloatTag(), hn::BitCast(df16, bits)), hn::Set(FloatTag(), 256.0f));
}

// Rounds to nearest even and saturates at ±448.
HWY_INLINE void store(FloatVector value, F8E4M3* to) {
  const FloatTag d;
  const hn::Rebind<uint8_t, FloatTag> d8;
  const auto largest = hn::Set(d, 448.0f);
  const auto held = hn::Max(hn::Neg(largest), hn::Min(value, largest));
  const auto nan = hn::Or(hn::And(hn::ShiftRight<24>(hn::BitCast(IntTag(), value)), hn::Set(IntTag(), 0x80)),
                          hn::Set(IntTag(), 0x7F));
  const auto bits = hn::IfThenElse(hn::RebindMask(IntTag(), hn::IsNaN(value)), nan, to_f8e4m3(held));
  hn::StoreU(hn::DemoteTo(d8, bits), d8, reinterpret_cast<uint8_t*>(to));
}

// out[i] = value of bits[i], times scale.
HWY_INLINE void expand_f8(const uint8_t* bits, int64_t count, float scale, float* out) {
  const hn::Rebind<uint8_t, FloatTag> d8;
  const auto factor = hn::Set(FloatTag(), scale);
  const auto values_at = [&](const uint8_t* from) {
    return hn::Mul(from_f8e4m3(hn::PromoteTo(IntTag(), hn::LoadU(d8, from))), factor);
  };
  int64_t i = 0;
  for (; i + static_cast<int64_t>(lanes()) <= count; i += lanes()) store(values_at(bits + i), out + i);
  if (i == count) return;
  HWY_ALIGN uint8_t last[lanes()] = {};
  std::memcpy(last, bits + i, static_cast<size_t>(count - i));
  store_first(values_at(last), out + i, static_cast<size_t>(count - i));
}

}  // namespace HWY_NAMESPACE
}  // namespace musaic
HWY_AFTER_NAMESPACE();

#endif
