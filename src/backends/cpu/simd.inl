// Vector pieces that kernels share, compiled once a target: include inside a file that includes
// hwy/foreach_target.h, after hwy/highway.h. Everything works on float32 vectors of the full width.

#if defined(MUSAIC_BACKENDS_CPU_SIMD_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef MUSAIC_BACKENDS_CPU_SIMD_INL
#undef MUSAIC_BACKENDS_CPU_SIMD_INL
#else
#define MUSAIC_BACKENDS_CPU_SIMD_INL
#endif

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace musaic {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using FloatTag = hn::ScalableTag<float>;
using FloatVector = hn::Vec<FloatTag>;

HWY_INLINE constexpr size_t lanes() {
  return HWY_MAX_BYTES / sizeof(float);
}

// Loads of float32, float16 and bfloat16 as float32.
HWY_INLINE FloatVector load(const float* from) {
  return hn::LoadU(FloatTag(), from);
}
HWY_INLINE FloatVector load(const hwy::float16_t* from) {
  return hn::PromoteTo(FloatTag(), hn::LoadU(hn::Rebind<hwy::float16_t, FloatTag>(), from));
}
HWY_INLINE FloatVector load(const hwy::bfloat16_t* from) {
  return hn::PromoteTo(FloatTag(), hn::LoadU(hn::Rebind<hwy::bfloat16_t, FloatTag>(), from));
}

// Stores that round to nearest even.
HWY_INLINE void store(FloatVector value, float* to) {
  hn::StoreU(value, FloatTag(), to);
}
HWY_INLINE void store(FloatVector value, hwy::float16_t* to) {
  const hn::Rebind<hwy::float16_t, FloatTag> d16;
  hn::StoreU(hn::DemoteTo(d16, value), d16, to);
}
HWY_INLINE void store(FloatVector value, hwy::bfloat16_t* to) {
  const hn::RebindToUnsigned<FloatTag> d32;
  const hn::Rebind<uint16_t, FloatTag> d16;
  const auto bits = hn::BitCast(d32, value);
  const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(d32, 1));
  const auto rounded = hn::ShiftRight<16>(hn::Add(bits, hn::Add(odd, hn::Set(d32, 0x7FFF))));
  const auto quiet_nan = hn::Or(hn::ShiftRight<16>(bits), hn::Set(d32, 0x40));
  const auto chosen = hn::IfThenElse(hn::RebindMask(d32, hn::IsNaN(value)), quiet_nan, rounded);
  hn::StoreU(hn::DemoteTo(d16, hn::BitCast(hn::RebindToSigned<decltype(d32)>(), chosen)), d16,
             reinterpret_cast<uint16_t*>(to));
}

// The first `count` < lanes() values, zeros after them.
template <class T>
HWY_INLINE FloatVector load_first(const T* from, size_t count) {
  HWY_ALIGN T buffer[lanes()] = {};
  std::memcpy(buffer, from, count * sizeof(T));
  return load(buffer);
}
template <class T>
HWY_INLINE void store_first(FloatVector value, T* to, size_t count) {
  HWY_ALIGN T buffer[lanes()];
  store(value, buffer);
  std::memcpy(to, buffer, count * sizeof(T));
}

// What storing as T and loading again gives.
HWY_INLINE FloatVector rounded_to(FloatVector value, const float*) {
  return value;
}
template <class T>
HWY_INLINE FloatVector rounded_to(FloatVector value, const T*) {
  HWY_ALIGN T buffer[lanes()];
  store(value, buffer);
  return load(buffer);
}

HWY_INLINE float sum_of_lanes(FloatVector value) {
  return hn::GetLane(hn::SumOfLanes(FloatTag(), value));
}

// exp(x) for x ≤ 0 within 1 ulp; 0 below -87. NaN stays NaN.
HWY_INLINE FloatVector exp_of_negative(FloatVector x) {
  const FloatTag d;
  const hn::RebindToSigned<FloatTag> di;
  const auto smallest = hn::Set(d, -87.0f);
  const auto vanishes = hn::Lt(x, smallest);
  const auto clamped = hn::IfThenElse(vanishes, smallest, x);
  const auto n = hn::Round(hn::Mul(clamped, hn::Set(d, 1.44269504f)));
  auto r = hn::NegMulAdd(n, hn::Set(d, 0.693145751953125f), clamped);  // ln 2 in two parts, the first exact
  r = hn::NegMulAdd(n, hn::Set(d, 1.42860677e-6f), r);
  // Minimax of (exp(r) - 1 - r) / r² on |r| ≤ ln 2 / 2.
  auto p = hn::MulAdd(hn::Set(d, 1.989933284e-4f), r, hn::Set(d, 1.393368697e-3f));
  p = hn::MulAdd(p, r, hn::Set(d, 8.333298413e-3f));
  p = hn::MulAdd(p, r, hn::Set(d, 4.166646459e-2f));
  p = hn::MulAdd(p, r, hn::Set(d, 1.666666672e-1f));
  p = hn::MulAdd(p, r, hn::Set(d, 5.000000013e-1f));
  p = hn::Add(hn::MulAdd(p, hn::Mul(r, r), r), hn::Set(d, 1.0f));
  const auto exponent = hn::ShiftLeft<23>(hn::ConvertTo(di, n));
  const auto scaled = hn::BitCast(d, hn::Add(hn::BitCast(di, p), exponent));
  return hn::IfThenElse(hn::IsNaN(x), x, hn::IfThenZeroElse(vanishes, scaled));
}

}  // namespace HWY_NAMESPACE
}  // namespace musaic
HWY_AFTER_NAMESPACE();

#endif
