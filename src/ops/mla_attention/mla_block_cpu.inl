// One block of positions of latent attention, compiled once a target: include inside a file that includes
// hwy/foreach_target.h, after hwy/highway.h.

#if defined(MUSAIC_OPS_MLA_BLOCK_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef MUSAIC_OPS_MLA_BLOCK_INL
#undef MUSAIC_OPS_MLA_BLOCK_INL
#else
#define MUSAIC_OPS_MLA_BLOCK_INL
#endif

#include <algorithm>
#include <limits>

#include "backends/cpu/simd.inl"
#include "hwy/highway.h"
#include "ops/mla_attention/mla_work_cpu.h"
#include "ops/per_token_group_quant/f8_cpu.inl"

HWY_BEFORE_NAMESPACE();
namespace musaic {
namespace HWY_NAMESPACE {
namespace {

constexpr MlaRowState kNothingSeen = {-std::numeric_limits<float>::infinity(), 0.0f};

template <class T>
HWY_INLINE void load_row(const T* from, int64_t count, float* out) {
  int64_t i = 0;
  for (; i + static_cast<int64_t>(lanes()) <= count; i += lanes()) store(load(from + i), out + i);
  if (i < count) store_first(load_first(from + i, count - i), out + i, count - i);
}

// The cached rows of positions [first, first + count) as float32, [count, width].
HWY_INLINE void load_latents(const MlaCache& cache, int32_t sequence, int64_t first, int64_t count,
                             float* out) {
  for (int64_t i = 0; i < count; ++i, out += cache.width) {
    const int64_t offset = cache.row_offset(sequence, first + i);
    if (cache.dtype == DType::kF16) {
      load_row(static_cast<const hwy::float16_t*>(cache.data) + offset, cache.width, out);
    } else if (cache.dtype == DType::kBF16) {
      load_row(static_cast<const hwy::bfloat16_t*>(cache.data) + offset, cache.width, out);
    } else {
      load_row(static_cast<const float*>(cache.data) + offset, cache.width, out);
    }
  }
}

// A group's values through FP8 and back, as sgl_per_token_group_quant_8bit_v2 makes them.
HWY_INLINE void round_group_to_f8(float* x, int64_t count) {
  const FloatTag d;
  FloatVector magnitude = hn::Zero(d);
  int64_t whole = 0;
  for (; whole + static_cast<int64_t>(lanes()) <= count; whole += lanes())
    magnitude = hn::Max(magnitude, hn::Abs(load(x + whole)));
  if (whole < count) magnitude = hn::Max(magnitude, hn::Abs(load_first(x + whole, count - whole)));
  const float largest = hn::GetLane(hn::MaxOfLanes(d, magnitude));
  const auto scale = hn::Set(d, std::max(largest, 1e-10f) / 448.0f);
  const auto limit = hn::Set(d, 448.0f);
  const auto rounded = [&](FloatVector value) {
    const auto held = hn::Max(hn::Neg(limit), hn::Min(hn::Div(value, scale), limit));
    return hn::Mul(from_f8e4m3(to_f8e4m3(held)), scale);
  };
  for (int64_t i = 0; i < whole; i += lanes()) store(rounded(load(x + i)), x + i);
  if (whole < count) store_first(rounded(load_first(x + whole, count - whole)), x + whole, count - whole);
}

// scores[0, visible) become weights, those up to kMlaBlock zeros; the row's state moves on. Returns what the
// sums of the blocks before are multiplied by.
HWY_INLINE float advance_softmax(float* scores, int64_t visible, float scale, MlaRowState& state) {
  const FloatTag d;
  const auto unseen = hn::Set(d, -std::numeric_limits<float>::infinity());
  const auto end = hn::Set(d, static_cast<float>(visible));
  FloatVector largest = hn::Set(d, state.maximum);
  for (int64_t i = 0; i < kMlaBlock; i += lanes()) {
    const auto is_seen = hn::Lt(hn::Iota(d, static_cast<float>(i)), end);
    const auto score = hn::IfThenElse(is_seen, hn::Mul(load(scores + i), hn::Set(d, scale)), unseen);
    store(score, scores + i);
    largest = hn::Max(largest, score);
  }
  const auto maximum = hn::MaxOfLanes(d, largest);
  FloatVector sum = hn::Zero(d);
  for (int64_t i = 0; i < kMlaBlock; i += lanes()) {
    const auto weight = exp_of_negative(hn::Sub(load(scores + i), maximum));
    store(weight, scores + i);
    sum = hn::Add(sum, weight);
  }
  const float rescale = hn::GetLane(exp_of_negative(hn::Sub(hn::Set(d, state.maximum), maximum)));
  state = {hn::GetLane(maximum), state.weight * rescale + sum_of_lanes(sum)};
  return rescale;
}

// Rows of weights [rows, kMlaBlock] times values, added to what there is.
struct WeightedSum {
  const float* weights;
  const float* rescale;  // [rows]
  const float* values;   // [positions, width]
  int64_t value_stride;
  int64_t positions;
  int64_t width;
  float* out;  // [rows, width]
  int64_t out_stride;
};

template <int kRows>
HWY_INLINE void add_weighted_rows(const WeightedSum& sum, int64_t row) {
  const FloatTag d;
  const float* weights = sum.weights + row * kMlaBlock;
  for (int64_t i = 0; i < sum.width; i += lanes()) {
    const auto left = static_cast<size_t>(sum.width - i);
    const bool whole = left >= lanes();
    const auto load_at = [&](const float* from) { return whole ? load(from) : load_first(from, left); };
    FloatVector sums[kRows];
    for (int r = 0; r < kRows; ++r)
      sums[r] = hn::Mul(load_at(sum.out + (row + r) * sum.out_stride + i), hn::Set(d, sum.rescale[row + r]));
    for (int64_t p = 0; p < sum.positions; ++p) {
      const FloatVector value = load_at(sum.values + p * sum.value_stride + i);
      for (int r = 0; r < kRows; ++r)
        sums[r] = hn::MulAdd(hn::Set(d, weights[r * kMlaBlock + p]), value, sums[r]);
    }
    for (int r = 0; r < kRows; ++r) {
      float* out = sum.out + (row + r) * sum.out_stride + i;
      whole ? store(sums[r], out) : store_first(sums[r], out, left);
    }
  }
}

HWY_INLINE void add_weighted(const WeightedSum& sum, int64_t rows) {
  int64_t row = 0;
  for (; row + 4 <= rows; row += 4) add_weighted_rows<4>(sum, row);
  for (; row < rows; ++row) add_weighted_rows<1>(sum, row);
}

HWY_INLINE void divide_row(float* out, int64_t width, float divisor) {
  for (int64_t i = 0; i < width; ++i) out[i] /= divisor;
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace musaic
HWY_AFTER_NAMESPACE();

#endif
