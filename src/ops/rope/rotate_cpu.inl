// Rotation of one head, shared by the kernels that rotate: include like backends/cpu/simd.inl.

#if defined(MUSAIC_OPS_ROPE_ROTATE_CPU) == defined(HWY_TARGET_TOGGLE)
#ifdef MUSAIC_OPS_ROPE_ROTATE_CPU
#undef MUSAIC_OPS_ROPE_ROTATE_CPU
#else
#define MUSAIC_OPS_ROPE_ROTATE_CPU
#endif

#include <cmath>

#include "backends/cpu/simd.inl"

HWY_BEFORE_NAMESPACE();
namespace musaic {
namespace HWY_NAMESPACE {

// Turns (a, b) by the angle with this cosine and sine.
HWY_INLINE void rotate_pair(FloatVector& a, FloatVector& b, FloatVector cosine, FloatVector sine) {
  const FloatVector turned = hn::MulSub(a, cosine, hn::Mul(b, sine));
  b = hn::MulAdd(b, cosine, hn::Mul(a, sine));
  a = turned;
}

// Pairs (i, i + half).
HWY_INLINE void rotate_halves(const float* x, const float* cosines, const float* sines, size_t half,
                              float* y) {
  for (size_t i = 0; i < half; i += lanes()) {
    const size_t count = HWY_MIN(lanes(), half - i);
    if (count == lanes()) {
      FloatVector a = load(x + i), b = load(x + half + i);
      rotate_pair(a, b, load(cosines + i), load(sines + i));
      store(a, y + i);
      store(b, y + half + i);
    } else {
      FloatVector a = load_first(x + i, count), b = load_first(x + half + i, count);
      rotate_pair(a, b, load_first(cosines + i, count), load_first(sines + i, count));
      store_first(a, y + i, count);
      store_first(b, y + half + i, count);
    }
  }
}

// Pairs (2i, 2i + 1).
HWY_INLINE void rotate_interleaved(const float* x, const float* cosines, const float* sines, size_t half,
                                   float* y) {
  const FloatTag d;
  HWY_ALIGN float pairs[2 * lanes()];
  for (size_t i = 0; i < half; i += lanes()) {
    const size_t count = HWY_MIN(lanes(), half - i);
    const bool whole = count == lanes();
    if (!whole) {
      std::memset(pairs, 0, sizeof(pairs));
      std::memcpy(pairs, x + 2 * i, 2 * count * sizeof(float));
    }
    FloatVector a, b;
    hn::LoadInterleaved2(d, whole ? x + 2 * i : pairs, a, b);
    rotate_pair(a, b, whole ? load(cosines + i) : load_first(cosines + i, count),
                whole ? load(sines + i) : load_first(sines + i, count));
    hn::StoreInterleaved2(a, b, d, whole ? y + 2 * i : pairs);
    if (!whole) std::memcpy(y + 2 * i, pairs, 2 * count * sizeof(float));
  }
}

// y = x with its first `rotated` values rotated; x and y may be the same.
// cos_sin: rotated / 2 cosines, then as many sines.
HWY_INLINE void rotate_head(const float* x, const float* cos_sin, size_t rotated, size_t head_dim,
                            bool interleaved, float* y) {
  const size_t half = rotated / 2;
  if (interleaved) {
    rotate_interleaved(x, cos_sin, cos_sin + half, half, y);
  } else {
    rotate_halves(x, cos_sin, cos_sin + half, half, y);
  }
  if (x != y) std::memcpy(y + rotated, x + rotated, (head_dim - rotated) * sizeof(float));
}

}  // namespace HWY_NAMESPACE
}  // namespace musaic
HWY_AFTER_NAMESPACE();

#endif
