// The sums of RMS norm, shared by the kernels that norm: include like backends/cpu/simd.inl.

#if defined(MUSAIC_OPS_RMS_NORM_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef MUSAIC_OPS_RMS_NORM_INL
#undef MUSAIC_OPS_RMS_NORM_INL
#else
#define MUSAIC_OPS_RMS_NORM_INL
#endif

#include <cmath>

#include "backends/cpu/simd.inl"

HWY_BEFORE_NAMESPACE();
namespace musaic {
namespace HWY_NAMESPACE {

// The sum of squares in two chains of vectors, always in the same order.
class SquareSum {
 public:
  HWY_INLINE SquareSum() : first_(hn::Zero(FloatTag())), second_(hn::Zero(FloatTag())) {}
  HWY_INLINE void add(FloatVector value) {
    const FloatVector next = hn::MulAdd(value, value, second_);
    second_ = first_;
    first_ = next;
  }
  HWY_INLINE float total() const { return sum_of_lanes(hn::Add(first_, second_)); }

 private:
  FloatVector first_;
  FloatVector second_;
};

template <class T>
HWY_INLINE float sum_squares(const T* x, size_t n) {
  SquareSum sum;
  size_t i = 0;
  for (; i + lanes() <= n; i += lanes()) sum.add(load(x + i));
  if (i < n) sum.add(load_first(x + i, n - i));
  return sum.total();
}

// residual ← x + residual [+ extra], rounded once to T, and the sum of squares of the result. `extra` may be
// null.
template <class T>
HWY_INLINE float add_and_sum_squares(const T* x, T* residual, const T* extra, size_t n) {
  SquareSum sum;
  size_t i = 0;
  for (; i + lanes() <= n; i += lanes()) {
    FloatVector value = hn::Add(load(x + i), load(residual + i));
    if (extra != nullptr) value = hn::Add(value, load(extra + i));
    store(value, residual + i);
    sum.add(rounded_to(value, x));
  }
  if (i < n) {
    const size_t rest = n - i;
    FloatVector value = hn::Add(load_first(x + i, rest), load_first(residual + i, rest));
    if (extra != nullptr) value = hn::Add(value, load_first(extra + i, rest));
    store_first(value, residual + i, rest);
    sum.add(rounded_to(value, x));
  }
  return sum.total();
}

// What a row is multiplied by before its weight.
HWY_INLINE float norm_factor(float squares, size_t n, float eps) {
  return 1.0f / std::sqrt(squares / static_cast<float>(n) + eps);
}

}  // namespace HWY_NAMESPACE
}  // namespace musaic
HWY_AFTER_NAMESPACE();

#endif
