// AVX2. Only this file's own functions are compiled for it: what the headers define inline is not.
#include <immintrin.h>

#include "ops/linear/q8_panel.h"
#include "ops/linear/q8_panel_types.h"
#include "ops/linear/q8_tile.h"

#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c")

namespace musaic {
namespace {

constexpr int kHalves = 2;  // of a panel, a vector of columns each
constexpr int kHalfColumns = 8;

struct Scales {
  __m256 d, m;
};

// How many groups of 4 products fit into 16 bits before they must be widened: two products of a
// (weight · 127) add up in each step.
constexpr int groups_in_16_bits(DType dtype) {
  switch (dtype) {
    case DType::kQ8_0:
      return 1;  // 2 · 128 · 127 · 1 = 32512
    case DType::kQ5_0:
    case DType::kQ5_1:
    case DType::kQ5_K:
    case DType::kQ6_K:
      return 4;  // 2 · 32 · 127 · 4 = 32512
    default:
      return 8;  // 2 · 15 · 127 · 8 = 30480
  }
}

// Weights below zero: the sign moves to the row's value, so that one factor of maddubs is unsigned.
constexpr bool is_signed(DType dtype) {
  return dtype == DType::kQ8_0 || dtype == DType::kQ6_K;
}

// 8 sums, and the weights, fit 16 registers: of 4 rows and both halves of a panel, which load a row's values
// once, or of 8 rows and one half, where weights and their magnitudes take registers and work.
constexpr int halves_at_once(DType dtype) {
  return is_signed(dtype) ? 1 : 2;
}
constexpr int max_rows(DType dtype) {
  return 8 / halves_at_once(dtype);
}

inline __m256 load_f16(const uint8_t* p) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}

inline __m256 load_u8(const uint8_t* p) {
  return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
}

inline __m256 load_i8(const uint8_t* p) {
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
}

inline __m256i load(const uint8_t* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}

// d and m of 8 columns; m of formats whose values are d·(quant − offset) is −offset·d.
template <DType kType>
inline Scales load_scales(const uint8_t* p, int64_t block, int half) {
  constexpr PanelFormat kPanel = panel_format(kType);
  const uint8_t* group = p + block / kPanel.group_blocks * kPanel.group_scale_bytes;
  const __m256 d = load_f16(group + 16 * half);
  if constexpr (kType == DType::kQ8_0) return {d, d};
  if constexpr (kType == DType::kQ4_0) return {d, _mm256_mul_ps(d, _mm256_set1_ps(-8))};
  if constexpr (kType == DType::kQ5_0) return {d, _mm256_mul_ps(d, _mm256_set1_ps(-16))};
  if constexpr (kType == DType::kQ6_K) {  // the scales of the block's halves
    const uint8_t* packed = group + 32 + block % 8 * 32 + 8 * half;
    return {_mm256_mul_ps(d, load_i8(packed)), _mm256_mul_ps(d, load_i8(packed + 16))};
  }
  const __m256 m = load_f16(group + 32 + 16 * half);
  if constexpr (kPanel.group_blocks == 1) return {d, m};
  const uint8_t* packed = group + 64 + block % 8 * 32 + 8 * half;
  const __m256 min = _mm256_mul_ps(m, load_u8(packed + 16));
  return {_mm256_mul_ps(d, load_u8(packed)), _mm256_sub_ps(_mm256_setzero_ps(), min)};
}

// Values 4g .. 4g+3 of 8 columns: of a panel's first half, or from `quants` + 32 on of its second.
template <DType kType, int kGroup>
inline __m256i load_weights(const uint8_t* quants) {
  constexpr int kLine = 64;
  if constexpr (kType == DType::kQ8_0)
    return _mm256_xor_si256(load(quants + kLine * kGroup), _mm256_set1_epi8(static_cast<char>(0x80)));
  const __m256i both = load(quants + kLine * (kGroup % 4));
  const __m256i shifted = kGroup < 4 ? both : _mm256_srli_epi16(both, 4);
  const __m256i low = _mm256_and_si256(shifted, _mm256_set1_epi8(0x0F));
  if constexpr (panel_format(kType).quant_bytes == 256) return low;
  if constexpr (kType == DType::kQ6_K) {
    constexpr int kPair = 2 * (kGroup % 4);  // its bits go to bit 4
    const __m256i plane = load(quants + 256 + kLine * (kGroup / 4));
    const __m256i moved = kPair < 4 ? _mm256_slli_epi16(plane, kPair < 4 ? 4 - kPair : 0)
                                    : _mm256_srli_epi16(plane, kPair < 4 ? 0 : kPair - 4);
    const __m256i high = _mm256_and_si256(moved, _mm256_set1_epi8(0x30));
    return _mm256_sub_epi8(_mm256_or_si256(low, high), _mm256_set1_epi8(32));
  } else {
    const __m256i plane = load(quants + 256);
    const __m256i moved = kGroup < 4 ? _mm256_slli_epi16(plane, kGroup < 4 ? 4 - kGroup : 0)
                                     : _mm256_srli_epi16(plane, kGroup < 4 ? 0 : kGroup - 4);
    return _mm256_or_si256(low, _mm256_and_si256(moved, _mm256_set1_epi8(0x10)));
  }
}

inline __m256i broadcast4(const int8_t* q) {
  int32_t four;
  __builtin_memcpy(&four, q, 4);
  return _mm256_set1_epi32(four);
}

// 16-bit sums of two products each.
template <DType kType>
inline __m256i multiply(__m256i weights, __m256i magnitudes, __m256i values) {
  if constexpr (is_signed(kType)) return _mm256_maddubs_epi16(magnitudes, _mm256_sign_epi8(values, weights));
  return _mm256_maddubs_epi16(weights, values);
}

// Holds the sum in a register from here on. Otherwise the compiler makes a tree of a block's additions, whose
// leaves go through memory.
inline void keep(__m256i& sum) {
  asm("" : "+x"(sum));
}

template <DType kType, int kRows>
using Sums = __m256i[kRows][halves_at_once(kType)];

template <DType kType, int kRows, int kGroup>
inline void dot_group(const uint8_t* quants, const int8_t* q, int64_t stride, Sums<kType, kRows>& sums) {
  constexpr int kAtOnce = halves_at_once(kType);
  __m256i weights[kAtOnce], magnitudes[kAtOnce];
#pragma GCC unroll 2
  for (int half = 0; half < kAtOnce; ++half) {
    weights[half] = load_weights<kType, kGroup>(quants + 32 * half);
    magnitudes[half] = is_signed(kType) ? _mm256_abs_epi8(weights[half]) : weights[half];
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
    const __m256i values = broadcast4(q + r * stride + 4 * kGroup);
#pragma GCC unroll 2
    for (int half = 0; half < kAtOnce; ++half) {
      const __m256i products = multiply<kType>(weights[half], magnitudes[half], values);
      sums[r][half] =
          kGroup % groups_in_16_bits(kType) == 0 ? products : _mm256_add_epi16(sums[r][half], products);
      keep(sums[r][half]);
    }
  }
}

// Of products that fill 16 bits: added up as 32 bits at once.
template <DType kType, int kRows, int kGroup>
inline void add_group(const uint8_t* quants, const int8_t* q, int64_t stride, Sums<kType, kRows>& dot,
                      bool first) {
  static_assert(halves_at_once(kType) == 1 && is_signed(kType));
  const __m256i weights = load_weights<kType, kGroup>(quants);
  const __m256i magnitudes = _mm256_abs_epi8(weights);
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
    const __m256i values = broadcast4(q + r * stride + 4 * kGroup);
    const __m256i wide =
        _mm256_madd_epi16(multiply<kType>(weights, magnitudes, values), _mm256_set1_epi16(1));
    dot[r][0] = first ? wide : _mm256_add_epi32(dot[r][0], wide);
    keep(dot[r][0]);
  }
}

// Adds the 16-bit sums up into `dot`, as 32 bits.
template <DType kType, int kRows>
inline void widen(const Sums<kType, kRows>& sums, Sums<kType, kRows>& dot, bool first) {
  constexpr int kAtOnce = halves_at_once(kType);
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
    for (int half = 0; half < kAtOnce; ++half) {
      const __m256i wide = _mm256_madd_epi16(sums[r][half], _mm256_set1_epi16(1));
      dot[r][half] = first ? wide : _mm256_add_epi32(dot[r][half], wide);
      keep(dot[r][half]);
    }
  }
}

template <DType kType, int kRows, int kGroup, int kEnd>
inline void dot_groups(const uint8_t* quants, const int8_t* q, int64_t stride, Sums<kType, kRows>& sums,
                       Sums<kType, kRows>& dot, bool first) {
  if constexpr (kGroup < kEnd) {
    constexpr int kGroups = groups_in_16_bits(kType);
    if constexpr (kGroups == 1) {
      add_group<kType, kRows, kGroup>(quants, q, stride, dot, first);
    } else {
      dot_group<kType, kRows, kGroup>(quants, q, stride, sums);
      if constexpr (kGroup % kGroups == kGroups - 1) widen<kType, kRows>(sums, dot, first);
    }
    dot_groups<kType, kRows, kGroup + 1, kEnd>(quants, q, stride, sums, dot,
                                               first && kGroup % kGroups != kGroups - 1);
  }
}

// Of some rows, and of the columns from one half on.
template <DType kType, int kRows>
struct Accumulators {
  __m256 y[kRows][halves_at_once(kType)];
};

// The same block of a later panel into L2: the processor's own prefetchers lose these short streams.
template <DType kType>
inline void prefetch_block(const Q8Tile& tile, int64_t block) {
  constexpr PanelFormat kPanel = panel_format(kType);
  const uint8_t* quants = tile.quants + tile.prefetch + block * kPanel.quant_bytes;
#pragma GCC unroll 8
  for (int line = 0; line < kPanel.quant_bytes; line += 64) _mm_prefetch(quants + line, _MM_HINT_T1);
  _mm_prefetch(tile.scales + tile.prefetch + block * kPanel.group_scale_bytes / kPanel.group_blocks,
               _MM_HINT_T1);
}

template <DType kType, int kRows>
inline void add_block(const Q8Tile& tile, int64_t row, int64_t block, int first_half,
                      Accumulators<kType, kRows>& sum) {
  const uint8_t* quants = tile.quants + block * panel_format(kType).quant_bytes + 32 * first_half;
  const int8_t* q = tile.q + row * tile.q_stride + block * kBlockValues;
  constexpr int kAtOnce = halves_at_once(kType);
  Sums<kType, kRows> sums, dot;
  dot_groups<kType, kRows, 0, 8>(quants, q, tile.q_stride, sums, dot, true);
#pragma GCC unroll 2
  for (int half = 0; half < kAtOnce; ++half) {
    const Scales scales = load_scales<kType>(tile.scales, block, first_half + half);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const __m256 scale = _mm256_set1_ps(tile.scale[(row + r) * tile.scale_stride + block]);
      const __m256 scaled = _mm256_mul_ps(_mm256_cvtepi32_ps(dot[r][half]), scale);
      sum.y[r][half] = _mm256_fmadd_ps(scales.d, scaled, sum.y[r][half]);
      if constexpr (is_signed(kType)) continue;
      const __m256 x_sum = _mm256_set1_ps(tile.sums[(row + r) * tile.sums_stride + block]);
      sum.y[r][half] = _mm256_fmadd_ps(scales.m, x_sum, sum.y[r][half]);
    }
  }
}

// A scale for each half of 16 values: two dot products.
template <int kRows>
inline void add_block_q6_k(const Q8Tile& tile, int64_t row, int64_t block, int half,
                           Accumulators<DType::kQ6_K, kRows>& sum) {
  constexpr DType kType = DType::kQ6_K;
  const uint8_t* quants = tile.quants + block * panel_format(kType).quant_bytes + 32 * half;
  const int8_t* q = tile.q + row * tile.q_stride + block * kBlockValues;
  Sums<kType, kRows> sums, low, high;
  dot_groups<kType, kRows, 0, 4>(quants, q, tile.q_stride, sums, low, true);
  dot_groups<kType, kRows, 4, 8>(quants, q, tile.q_stride, sums, high, true);
  const Scales scales = load_scales<kType>(tile.scales, block, half);
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
    const __m256 scale = _mm256_set1_ps(tile.scale[(row + r) * tile.scale_stride + block]);
    __m256& y = sum.y[r][0];
    y = _mm256_fmadd_ps(scales.d, _mm256_mul_ps(_mm256_cvtepi32_ps(low[r][0]), scale), y);
    y = _mm256_fmadd_ps(scales.m, _mm256_mul_ps(_mm256_cvtepi32_ps(high[r][0]), scale), y);
  }
}

void store_half(const Q8Tile& tile, int64_t row, int half, __m256 sums) {
  alignas(32) float y[kHalfColumns];
  _mm256_store_ps(y, sums);
  const int first = half * kHalfColumns;
  float* out = tile.out + row * tile.out_stride + first;
  for (int i = 0; i < kHalfColumns && first + i < tile.columns; ++i)
    out[i] = tile.bias != nullptr ? y[i] + tile.bias[first + i] : y[i];
}

template <DType kType, int kRows>
void compute_halves(const Q8Tile& tile, int64_t row, int first_half) {
  constexpr int kAtOnce = halves_at_once(kType);
  Accumulators<kType, kRows> sum;
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
    for (int half = 0; half < kAtOnce; ++half) sum.y[r][half] = _mm256_setzero_ps();
  }
  const bool prefetches = row == 0 && first_half == 0 && tile.prefetch != 0;
  for (int64_t block = 0; block < tile.blocks; ++block) {
    if (prefetches) prefetch_block<kType>(tile, block);
    if constexpr (kType == DType::kQ6_K) {
      add_block_q6_k<kRows>(tile, row, block, first_half, sum);
    } else {
      add_block<kType, kRows>(tile, row, block, first_half, sum);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
    for (int half = 0; half < kAtOnce; ++half) store_half(tile, row + r, first_half + half, sum.y[r][half]);
  }
}

template <DType kType, int kRows>
void compute_rows(const Q8Tile& tile, int64_t row) {
  for (int half = 0; half < kHalves; half += halves_at_once(kType))
    compute_halves<kType, kRows>(tile, row, half);
}

template <DType kType, int kRows>
void compute_last_rows(const Q8Tile& tile, int64_t row) {
  if constexpr (kRows > 0) {
    if (tile.rows - row == kRows) return compute_rows<kType, kRows>(tile, row);
    compute_last_rows<kType, kRows - 1>(tile, row);
  }
}

template <DType kType>
void compute_tile(const Q8Tile& tile) {
  constexpr int kMaxRows = max_rows(kType);
  int64_t row = 0;
  for (; row + kMaxRows <= tile.rows; row += kMaxRows) compute_rows<kType, kMaxRows>(tile, row);
  compute_last_rows<kType, kMaxRows - 1>(tile, row);
}

}  // namespace

#pragma GCC pop_options

Q8TileKernel q8_tile_avx2(DType dtype) {
  Q8TileKernel found = nullptr;
  for_each_panel_type([&]<DType kType>() {
    if (kType == dtype) found = compute_tile<kType>;
  });
  return found;
}

}  // namespace musaic
