#include "ops/sample/row_kernels.h"

#include <algorithm>

#include "backends/cpu/highway_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/sample/row_kernels_cpu.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
// Highway's own order: after highway.h.
#include "hwy/contrib/math/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace musaic {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using FloatTag = hn::ScalableTag<float>;
using Floats = hn::Vec<FloatTag>;
constexpr FloatTag kFloats;
constexpr int64_t kLanes = hn::MaxLanes(FloatTag());

Floats clean(Floats x) {
  const Floats lowest = hn::Inf(kFloats);
  const Floats finite = hn::IfThenElse(hn::Lt(x, hn::Set(kFloats, std::numeric_limits<float>::max())), x,
                                       hn::Set(kFloats, std::numeric_limits<float>::max()));
  return hn::Add(hn::IfThenElse(hn::Eq(x, x), finite, hn::Neg(lowest)), hn::Zero(kFloats));
}

// The largest of each lane over whole vectors, then over lanes and the tail; its first place afterwards.
BestLogit best_logit(const float* logits, int64_t size) {
  constexpr int64_t kUnroll = 4;
  const Floats lowest = hn::Neg(hn::Inf(kFloats));
  Floats best[kUnroll] = {lowest, lowest, lowest, lowest};
  int64_t i = 0;
  for (; i + kUnroll * kLanes <= size; i += kUnroll * kLanes) {
    for (int64_t u = 0; u < kUnroll; ++u) {
      const Floats x = hn::LoadU(kFloats, logits + i + u * kLanes);
      best[u] = hn::IfThenElse(hn::Gt(x, best[u]), x, best[u]);  // false for NaN
    }
  }
  const Floats all = hn::Max(hn::Max(best[0], best[1]), hn::Max(best[2], best[3]));
  float value = hn::GetLane(hn::MaxOfLanes(kFloats, all));
  for (; i < size; ++i) value = logits[i] > value ? logits[i] : value;
  if (value == -std::numeric_limits<float>::infinity()) return {};

  const float cleaned = clean_logit(value);
  const Floats wanted = hn::Set(kFloats, cleaned);
  for (i = 0; i + kLanes <= size; i += kLanes) {
    const intptr_t lane = hn::FindFirstTrue(kFloats, hn::Ge(hn::LoadU(kFloats, logits + i), wanted));
    if (lane >= 0) return {cleaned, static_cast<int32_t>(i + lane)};
  }
  while (!(logits[i] >= cleaned)) ++i;
  return {cleaned, static_cast<int32_t>(i)};
}

void descending_keys(const float* logits, int64_t size, uint32_t* keys) {
  const hn::RebindToUnsigned<FloatTag> integers;
  const auto largest_positive = hn::Set(integers, 0x7fffffffu);
  int64_t i = 0;
  for (; i + kLanes <= size; i += kLanes) {
    const auto bits = hn::BitCast(integers, clean(hn::LoadU(kFloats, logits + i)));
    const auto is_negative = hn::Gt(bits, largest_positive);
    hn::StoreU(hn::IfThenElse(is_negative, bits, hn::Sub(largest_positive, bits)), integers, keys + i);
  }
  for (; i < size; ++i) keys[i] = descending_key(logits[i]);
}

Floats exp_weight(Floats x, Floats max, Floats scale) {
  constexpr float kUnderflow = -110.0f;  // exp of it is 0 in float
  const Floats exponent = hn::Mul(hn::Sub(clean(x), max), scale);
  return hn::Exp(kFloats, hn::Max(exponent, hn::Set(kFloats, kUnderflow)));
}

double exp_weights(const float* logits, int64_t size, float max, float scale, float* weights) {
  const Floats max_vector = hn::Set(kFloats, max);
  const Floats scale_vector = hn::Set(kFloats, scale);
  const hn::ScalableTag<double> doubles;
  const hn::Rebind<float, decltype(doubles)> half;
  const auto rounder = hn::Set(doubles, 1.5 * (1 << 18));
  constexpr int64_t kDoubles = hn::MaxLanes(hn::ScalableTag<double>());
  auto sums = hn::Zero(doubles);
  int64_t i = 0;
  for (; i + kLanes <= size; i += kLanes) {
    hn::StoreU(exp_weight(hn::LoadU(kFloats, logits + i), max_vector, scale_vector), kFloats, weights + i);
    for (int64_t lane = i; lane < i + kLanes; lane += kDoubles) {
      const auto weight = hn::PromoteTo(doubles, hn::LoadU(half, weights + lane));
      sums = hn::Add(sums, hn::Sub(hn::Add(weight, rounder), rounder));
    }
  }
  double sum = hn::GetLane(hn::SumOfLanes(doubles, sums));
  if (i < size) {
    float padded[kLanes];
    std::fill_n(padded, kLanes, -std::numeric_limits<float>::infinity());
    std::copy(logits + i, logits + size, padded);
    hn::StoreU(exp_weight(hn::LoadU(kFloats, padded), max_vector, scale_vector), kFloats, padded);
    for (int64_t lane = 0; i < size; ++i, ++lane) {
      weights[i] = padded[lane];
      sum += exact_weight(padded[lane]);
    }
  }
  return sum;
}

int64_t indices_at_least(const float* logits, int64_t size, float threshold, int32_t first,
                         int32_t* indices) {
  const Floats threshold_vector = hn::Set(kFloats, threshold);
  int64_t count = 0;
  int64_t i = 0;
  for (; i + kLanes <= size; i += kLanes) {
    const auto chosen = hn::Ge(clean(hn::LoadU(kFloats, logits + i)), threshold_vector);
    if (hn::AllFalse(kFloats, chosen)) continue;
    for (int64_t lane = 0; lane < kLanes; ++lane) {
      if (clean_logit(logits[i + lane]) >= threshold)
        indices[count++] = first + static_cast<int32_t>(i + lane);
    }
  }
  for (; i < size; ++i) {
    if (clean_logit(logits[i]) >= threshold) indices[count++] = first + static_cast<int32_t>(i);
  }
  return count;
}

}  // namespace HWY_NAMESPACE
}  // namespace musaic
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace musaic {

HWY_EXPORT(descending_keys);
HWY_EXPORT(best_logit);
HWY_EXPORT(exp_weights);
HWY_EXPORT(indices_at_least);

void descending_keys(const float* logits, int64_t size, uint32_t* keys) {
  HWY_DYNAMIC_DISPATCH(descending_keys)(logits, size, keys);
}

BestLogit best_logit(const float* logits, int64_t size) {
  return HWY_DYNAMIC_DISPATCH(best_logit)(logits, size);
}

double exp_weights(const float* logits, int64_t size, float max, float scale, float* weights) {
  return HWY_DYNAMIC_DISPATCH(exp_weights)(logits, size, max, scale, weights);
}

int64_t indices_at_least(const float* logits, int64_t size, float threshold, int32_t first,
                         int32_t* indices) {
  return HWY_DYNAMIC_DISPATCH(indices_at_least)(logits, size, threshold, first, indices);
}

}  // namespace musaic
#endif
