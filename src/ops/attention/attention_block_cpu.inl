// Attention of a tile of query rows over one block of positions: include like backends/cpu/simd.inl.

#if defined(MUSAIC_OPS_ATTENTION_BLOCK_CPU) == defined(HWY_TARGET_TOGGLE)
#ifdef MUSAIC_OPS_ATTENTION_BLOCK_CPU
#undef MUSAIC_OPS_ATTENTION_BLOCK_CPU
#else
#define MUSAIC_OPS_ATTENTION_BLOCK_CPU
#endif

#include <limits>

#include "backends/cpu/simd.inl"
#include "hwy/cache_control.h"
#include "ops/attention/attention_work_cpu.h"

HWY_BEFORE_NAMESPACE();
namespace musaic {
namespace HWY_NAMESPACE {

// Rows that the scores of a group of positions fill one vector with.
inline constexpr int kRowStep = static_cast<int>(HWY_MAX_BYTES / sizeof(float)) / kGroup;
inline constexpr int kColumnVectors = 4;     // of sums that stay in registers
inline constexpr float kNoMaximum = -3e38f;  // below every score, and finite: differences stay numbers

// Up to kKvBlock positions, as groups of kGroup rows that lie `stride` values apart.
template <class T>
struct KvBlock {
  const T* groups[kKvBlock / kGroup];
  size_t stride;
  size_t count;  // positions

  HWY_INLINE const T* row(size_t position) const {
    return groups[position / kGroup] + position % kGroup * stride;
  }
  // Asks for the group's rows: pages are too short for the processor to see a stream in them.
  HWY_INLINE void prefetch(size_t group) const {
    constexpr size_t kLineValues = 64 / sizeof(T);
    if (group * kGroup >= count) return;
    for (size_t at = 0; at < kGroup * stride; at += kLineValues) hwy::Prefetch(groups[group] + at);
  }
};

// 2^x for x ≤ 0 within 1 ulp; 0 below -125.
HWY_INLINE FloatVector exp2_of_negative(FloatVector x) {
  const FloatTag d;
  const hn::RebindToSigned<FloatTag> di;
  const auto smallest = hn::Set(d, -125.0f);
  const auto vanishes = hn::Lt(x, smallest);
  const auto clamped = hn::Max(x, smallest);
  const auto n = hn::Round(clamped);
  const auto r = hn::Sub(clamped, n);
  // Minimax of (2^r - 1) / r on |r| ≤ 1/2.
  auto p = hn::MulAdd(hn::Set(d, 1.546156355e-4f), r, hn::Set(d, 1.339098225e-3f));
  p = hn::MulAdd(p, r, hn::Set(d, 9.618056379e-3f));
  p = hn::MulAdd(p, r, hn::Set(d, 5.550356889e-2f));
  p = hn::MulAdd(p, r, hn::Set(d, 2.402265092e-1f));
  p = hn::MulAdd(p, r, hn::Set(d, 6.931471881e-1f));
  p = hn::MulAdd(p, r, hn::Set(d, 1.0f));
  const auto exponent = hn::ShiftLeft<23>(hn::ConvertTo(di, n));
  return hn::IfThenZeroElse(vanishes, hn::BitCast(d, hn::Add(hn::BitCast(di, p), exponent)));
}

// Each 128-bit part: the sums of that part of a, b, c and d.
HWY_INLINE FloatVector sum_in_parts(FloatVector a, FloatVector b, FloatVector c, FloatVector d) {
  const FloatTag df;
  const hn::Repartition<double, FloatTag> dd;
  const auto ab = hn::BitCast(dd, hn::Add(hn::InterleaveLower(df, a, b), hn::InterleaveUpper(df, a, b)));
  const auto cd = hn::BitCast(dd, hn::Add(hn::InterleaveLower(df, c, d), hn::InterleaveUpper(df, c, d)));
  return hn::Add(hn::BitCast(df, hn::InterleaveLower(dd, ab, cd)),
                 hn::BitCast(df, hn::InterleaveUpper(dd, ab, cd)));
}

// Adds the 128-bit parts of one row's sums and stores the four.
HWY_INLINE void store_row_sums(FloatVector parts, float* to) {
  const hn::Half<FloatTag> dh;
#if HWY_MAX_BYTES == 64
  const hn::Half<decltype(dh)> dq;
  const auto half = hn::Add(hn::LowerHalf(dh, parts), hn::UpperHalf(dh, parts));
  hn::StoreU(hn::Add(hn::LowerHalf(dq, half), hn::UpperHalf(dq, half)), dq, to);
#else
  hn::StoreU(hn::Add(hn::LowerHalf(dh, parts), hn::UpperHalf(dh, parts)), dh, to);
#endif
}

// The same for kRowStep rows at once: same pairs, same bits.
HWY_INLINE void store_rows_sums(const FloatVector* parts, float* to) {
  const FloatTag d;
  const hn::Half<FloatTag> dh;
#if HWY_MAX_BYTES == 64
  const hn::Half<decltype(dh)> dq;
  // Halves of rows 0 and 2, and of rows 1 and 3, so that the blocks below come out in order.
  const auto even =
      hn::Add(hn::ConcatLowerLower(d, parts[2], parts[0]), hn::ConcatUpperUpper(d, parts[2], parts[0]));
  const auto odd =
      hn::Add(hn::ConcatLowerLower(d, parts[3], parts[1]), hn::ConcatUpperUpper(d, parts[3], parts[1]));
  const auto sums = hn::Add(hn::OddEvenBlocks(hn::SwapAdjacentBlocks(odd), even),
                            hn::OddEvenBlocks(odd, hn::SwapAdjacentBlocks(even)));
  const auto low = hn::LowerHalf(dh, sums), high = hn::UpperHalf(dh, sums);
  hn::StoreU(hn::LowerHalf(dq, low), dq, to);
  hn::StoreU(hn::UpperHalf(dq, low), dq, to + kKvBlock);
  hn::StoreU(hn::LowerHalf(dq, high), dq, to + 2 * kKvBlock);
  hn::StoreU(hn::UpperHalf(dq, high), dq, to + 3 * kKvBlock);
#else
  const auto sums =
      hn::Add(hn::ConcatLowerLower(d, parts[1], parts[0]), hn::ConcatUpperUpper(d, parts[1], parts[0]));
  hn::StoreU(hn::LowerHalf(dh, sums), dh, to);
  hn::StoreU(hn::UpperHalf(dh, sums), dh, to + kKvBlock);
#endif
}

// scores[row][0..3] = query[row] · keys of a group, for kRows rows.
template <int kRows, class T>
HWY_INLINE void score_group(const float* query, size_t query_stride, const T* keys, size_t key_stride,
                            size_t width, float* scores) {
  FloatVector sums[kRows][kGroup];
  HWY_UNROLL(4)
  for (int r = 0; r < kRows; ++r) {
    HWY_UNROLL(4)
    for (int j = 0; j < kGroup; ++j) sums[r][j] = hn::Zero(FloatTag());
  }
  for (size_t k = 0; k < width; k += lanes()) {
    FloatVector q[kRows];
    HWY_UNROLL(4)
    for (int r = 0; r < kRows; ++r) q[r] = load(query + static_cast<size_t>(r) * query_stride + k);
    HWY_UNROLL(4)
    for (int j = 0; j < kGroup; ++j) {
      const FloatVector key = load(keys + static_cast<size_t>(j) * key_stride + k);
      HWY_UNROLL(4)
      for (int r = 0; r < kRows; ++r) sums[r][j] = hn::MulAdd(q[r], key, sums[r][j]);
    }
  }
  FloatVector parts[kRows];
  HWY_UNROLL(4)
  for (int r = 0; r < kRows; ++r) parts[r] = sum_in_parts(sums[r][0], sums[r][1], sums[r][2], sums[r][3]);
  if constexpr (kRows == kRowStep) {
    store_rows_sums(parts, scores);
  } else {
    for (int r = 0; r < kRows; ++r) store_row_sums(parts[r], scores + r * kKvBlock);
  }
}

// Asks for `ahead`, which is read next, while it computes.
template <int kRows, class T>
HWY_INLINE void score_rows(const float* query, size_t query_stride, const KvBlock<T>& keys,
                           const KvBlock<T>* ahead, size_t width, float* scores) {
  for (size_t first = 0; first < keys.count; first += kGroup) {
    if (ahead != nullptr) ahead->prefetch(first / kGroup);
    score_group<kRows>(query, query_stride, keys.groups[first / kGroup], keys.stride, width, scores + first);
  }
}

// One row's scores become weights: 2^(score - maximum), 0 from `visible` on. Returns the factor for the row's
// earlier sums.
HWY_INLINE float soften_row(float* scores, size_t visible, float* maximum, float* weights) {
  const FloatTag d;
  const auto hidden = hn::Set(d, -std::numeric_limits<float>::infinity());
  constexpr size_t kVectors = kKvBlock / lanes();
  FloatVector values[kVectors];
  auto largest = hn::Set(d, *maximum);
  HWY_UNROLL(8)
  for (size_t i = 0; i < kVectors; ++i) {
    const size_t first = i * lanes();
    const size_t seen = visible > first ? visible - first : 0;
    values[i] = hn::IfThenElse(hn::FirstN(d, seen), load(scores + first), hidden);
    largest = hn::Max(largest, values[i]);
  }
  largest = hn::MaxOfLanes(d, largest);
  auto sum = load(weights);
  const auto factor = exp2_of_negative(hn::Sub(hn::Set(d, *maximum), largest));
  sum = hn::Mul(sum, factor);
  HWY_UNROLL(8)
  for (size_t i = 0; i < kVectors; ++i) {
    const auto weight = exp2_of_negative(hn::Sub(values[i], largest));
    store(weight, scores + i * lanes());
    sum = hn::Add(sum, weight);
  }
  store(sum, weights);
  *maximum = hn::GetLane(largest);
  return hn::GetLane(factor);
}

// sums[row] = sums[row] · rescale[row] + Σ weights[row][j] · values[j], positions in order, for kRows rows
// and kVectors vectors of columns. Asks for `ahead`, which is read next, while it computes.
template <int kRows, int kVectors, class T>
HWY_INLINE void add_columns(const float* weights, const float* rescale, const KvBlock<T>& values,
                            const KvBlock<T>* ahead, size_t column, float* sums, size_t sums_stride) {
  const FloatTag d;
  FloatVector total[kRows][kVectors];
  HWY_UNROLL(4)
  for (int r = 0; r < kRows; ++r) {
    const auto factor = hn::Set(d, rescale[r]);
    HWY_UNROLL(4)
    for (int v = 0; v < kVectors; ++v)
      total[r][v] = hn::Mul(
          load(sums + static_cast<size_t>(r) * sums_stride + static_cast<size_t>(v) * lanes()), factor);
  }
  for (size_t j = 0; j < values.count; ++j) {
    if (ahead != nullptr && j % kGroup == 0) ahead->prefetch(j / kGroup);
    const T* row = values.row(j) + column;
    FloatVector weight[kRows];
    HWY_UNROLL(4)
    for (int r = 0; r < kRows; ++r) weight[r] = hn::Set(d, weights[static_cast<size_t>(r) * kKvBlock + j]);
    HWY_UNROLL(4)
    for (int v = 0; v < kVectors; ++v) {
      const FloatVector value = load(row + static_cast<size_t>(v) * lanes());
      HWY_UNROLL(4)
      for (int r = 0; r < kRows; ++r) total[r][v] = hn::MulAdd(weight[r], value, total[r][v]);
    }
  }
  HWY_UNROLL(4)
  for (int r = 0; r < kRows; ++r) {
    HWY_UNROLL(4)
    for (int v = 0; v < kVectors; ++v)
      store(total[r][v], sums + static_cast<size_t>(r) * sums_stride + static_cast<size_t>(v) * lanes());
  }
}

template <int kRows, class T>
HWY_INLINE void add_rows(const float* weights, const float* rescale, const KvBlock<T>& values,
                         const KvBlock<T>* ahead, size_t width, float* sums, size_t sums_stride) {
  size_t column = 0;
  for (; column + kColumnVectors * lanes() <= width; column += kColumnVectors * lanes()) {
    add_columns<kRows, kColumnVectors>(weights, rescale, values, ahead, column, sums + column, sums_stride);
    ahead = nullptr;
  }
  for (; column < width; column += lanes()) {
    add_columns<kRows, 1>(weights, rescale, values, ahead, column, sums + column, sums_stride);
    ahead = nullptr;
  }
}

// Calls step.template run<kRows>(first row) over the rows, kRowStep at a time. The last three go together, so
// that a decode row's group of three heads reads keys and values once: their sums just fit 16 registers.
template <class Step>
HWY_INLINE void for_row_steps(int64_t num_rows, const Step& step) {
  int64_t row = 0;
  for (; num_rows - row >= kRowStep && num_rows - row != 3; row += kRowStep) step.template run<kRowStep>(row);
  const int64_t left = num_rows - row;
  if (left == 3) step.template run<3>(row);
  if constexpr (kRowStep == 4) {
    if (left == 2) step.template run<2>(row);
  }
  if (left == 1) step.template run<1>(row);
}

template <class T>
struct ScoreStep {
  const AttentionScratch& scratch;
  const KvBlock<T>& keys;
  const KvBlock<T>& ahead;
  size_t width;
  size_t padded_dim;

  template <int kRows>
  HWY_INLINE void run(int64_t row) const {
    score_rows<kRows>(scratch.query + static_cast<size_t>(row) * padded_dim, padded_dim, keys,
                      row == 0 ? &ahead : nullptr, width, scratch.scores + row * kKvBlock);
  }
};

template <class T>
struct AddStep {
  const AttentionScratch& scratch;
  const KvBlock<T>& values;
  const KvBlock<T>& ahead;
  size_t width;
  size_t padded_dim;

  template <int kRows>
  HWY_INLINE void run(int64_t row) const {
    add_rows<kRows>(scratch.scores + row * kKvBlock, scratch.rescale + row, values,
                    row == 0 ? &ahead : nullptr, width, scratch.split + static_cast<size_t>(row) * padded_dim,
                    padded_dim);
  }
};

}  // namespace HWY_NAMESPACE
}  // namespace musaic
HWY_AFTER_NAMESPACE();

#endif
