// silu on vectors, compiled once a target: include inside a file that includes hwy/foreach_target.h, after
// backends/cpu/simd.inl.

#if defined(MUSAIC_OPS_SWIGLU_SILU_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef MUSAIC_OPS_SWIGLU_SILU_INL
#undef MUSAIC_OPS_SWIGLU_SILU_INL
#else
#define MUSAIC_OPS_SWIGLU_SILU_INL
#endif

#include "backends/cpu/simd.inl"

HWY_BEFORE_NAMESPACE();
namespace musaic {
namespace HWY_NAMESPACE {

// x / (1 + exp(-x)), written so that exp never overflows.
HWY_INLINE FloatVector silu_of(FloatVector x) {
  const FloatTag d;
  const auto e = exp_of_negative(hn::Neg(hn::Abs(x)));
  const auto numerator = hn::IfThenElse(hn::Lt(x, hn::Zero(d)), hn::Mul(x, e), x);
  return hn::Div(numerator, hn::Add(hn::Set(d, 1.0f), e));
}

}  // namespace HWY_NAMESPACE
}  // namespace musaic
HWY_AFTER_NAMESPACE();

#endif
