// Tiles of linear_q8 in 512-bit vectors. Include inside an anonymous namespace, under the target's options, after
// <immintrin.h>, q8_panel.h, q8_tile.h and two functions of the instruction set's own, which add to each of 16 sums the
// products of 4 unsigned with 4 signed bytes:
//   __m512i add_products(__m512i sums, __m512i unsigned_bytes, __m512i signed_bytes)
//     REQUIRES: two neighbours' products add up to 16 bits.
//   __m512i add_wide_products(...)  the same of any bytes

constexpr int kMaxRows = 12;  // 12 integer and 12 float accumulators, and the weights, in 32 registers

struct Scales {
  __m512 d, m;
};

// Values 4g .. 4g+3 of 16 columns for groups g = l and g = l + 4.
struct WeightPair {
  __m512i low, high;
};

inline __m512 load_f16(const uint8_t* p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}

inline __m512 load_u8(const uint8_t* p) {
  return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
}

inline __m512 load_i8(const uint8_t* p) {
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
}

inline WeightPair load_nibbles(const uint8_t* quants, int l) {
  const __m512i mask = _mm512_set1_epi8(0x0F);
  const __m512i both = _mm512_loadu_si512(quants + 64 * l);
  return {_mm512_and_si512(both, mask), _mm512_and_si512(_mm512_srli_epi16(both, 4), mask)};
}

// Bit g of each byte, moved to bit 4.
template <int kGroup>
inline __m512i fifth_bit(__m512i plane) {
  const __m512i bit = _mm512_set1_epi8(0x10);
  if constexpr (kGroup < 4) return _mm512_and_si512(_mm512_slli_epi16(plane, 4 - kGroup), bit);
  return _mm512_and_si512(_mm512_srli_epi16(plane, kGroup - 4), bit);
}

// Bits 2g and 2g+1 of each byte, moved to bits 4 and 5.
template <int kGroup>
inline __m512i bit_pair(__m512i plane) {
  const __m512i bits = _mm512_set1_epi8(0x30);
  if constexpr (kGroup < 2) return _mm512_and_si512(_mm512_slli_epi16(plane, 4 - 2 * kGroup), bits);
  return _mm512_and_si512(_mm512_srli_epi16(plane, 2 * kGroup - 4), bits);
}

// d, and m = −offset·d: unsigned quants of a format whose values are d·(quant − offset).
inline Scales scales_with_offset(const uint8_t* p, int64_t block, float offset) {
  const __m512 d = load_f16(p + 32 * block);
  return {d, _mm512_mul_ps(d, _mm512_set1_ps(-offset))};
}

inline Scales scales_with_min(const uint8_t* p, int64_t block) {
  return {load_f16(p + 64 * block), load_f16(p + 64 * block + 32)};
}

inline Scales scales_of_super_block(const uint8_t* p, int64_t block) {
  const uint8_t* group = p + block / 8 * panel_format(DType::kQ4_K).group_scale_bytes;
  const uint8_t* packed = group + 64 + block % 8 * 32;
  const __m512 min = _mm512_mul_ps(load_f16(group + 32), load_u8(packed + 16));
  return {_mm512_mul_ps(load_f16(group), load_u8(packed)), _mm512_sub_ps(_mm512_setzero_ps(), min)};
}

template <DType kType>
inline Scales load_scales(const uint8_t* p, int64_t block) {
  if constexpr (kType == DType::kQ4_0) return scales_with_offset(p, block, 8);
  if constexpr (kType == DType::kQ5_0) return scales_with_offset(p, block, 16);
  if constexpr (kType == DType::kQ8_0) return scales_with_offset(p, block, 128);
  if constexpr (kType == DType::kQ4_K || kType == DType::kQ5_K) return scales_of_super_block(p, block);
  return scales_with_min(p, block);
}

template <DType kType, int kL>
inline WeightPair load_weights(const uint8_t* quants) {
  if constexpr (kType == DType::kQ8_0)
    return {_mm512_loadu_si512(quants + 64 * kL), _mm512_loadu_si512(quants + 64 * (kL + 4))};
  WeightPair pair = load_nibbles(quants, kL);
  if constexpr (kType == DType::kQ5_0 || kType == DType::kQ5_1 || kType == DType::kQ5_K) {
    const __m512i plane = _mm512_loadu_si512(quants + 256);
    pair.low = _mm512_or_si512(pair.low, fifth_bit<kL>(plane));
    pair.high = _mm512_or_si512(pair.high, fifth_bit<kL + 4>(plane));
  }
  if constexpr (kType == DType::kQ6_K) {
    const __m512i offset = _mm512_set1_epi8(32);
    pair.low = _mm512_or_si512(pair.low, bit_pair<kL>(_mm512_loadu_si512(quants + 256)));
    pair.high = _mm512_or_si512(pair.high, bit_pair<kL>(_mm512_loadu_si512(quants + 320)));
    pair.low = _mm512_sub_epi8(pair.low, offset);
    pair.high = _mm512_sub_epi8(pair.high, offset);
  }
  return pair;
}

inline __m512i broadcast4(const int8_t* q) {
  int32_t four;
  __builtin_memcpy(&four, q, 4);
  return _mm512_set1_epi32(four);
}

template <int kRows>
struct Accumulators {
  __m512 y[kRows];
};

template <DType kType>
inline __m512i add_quants(__m512i dot, __m512i weights, __m512i q) {
  if constexpr (kType == DType::kQ8_0) return add_wide_products(dot, weights, q);
  return add_products(dot, weights, q);
}

// One step l of a block: 8 of its 32 values.
template <DType kType, int kRows, int kL>
inline void dot_step(const uint8_t* quants, const int8_t* q, int64_t stride, __m512i (&dot)[kRows]) {
  const WeightPair weights = load_weights<kType, kL>(quants);
#pragma GCC unroll 12
  for (int r = 0; r < kRows; ++r)
    dot[r] = add_quants<kType>(dot[r], weights.low, broadcast4(q + r * stride + 4 * kL));
#pragma GCC unroll 12
  for (int r = 0; r < kRows; ++r)
    dot[r] = add_quants<kType>(dot[r], weights.high, broadcast4(q + r * stride + 16 + 4 * kL));
}

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
inline void add_block(const Q8Tile& tile, int64_t row, int64_t block, Accumulators<kRows>& sum) {
  const uint8_t* quants = tile.quants + block * panel_format(kType).quant_bytes;
  const int8_t* q = tile.q + row * tile.q_stride + block * kBlockValues;
  __m512i dot[kRows];
#pragma GCC unroll 12
  for (int r = 0; r < kRows; ++r) dot[r] = _mm512_setzero_si512();
  dot_step<kType, kRows, 0>(quants, q, tile.q_stride, dot);
  dot_step<kType, kRows, 1>(quants, q, tile.q_stride, dot);
  dot_step<kType, kRows, 2>(quants, q, tile.q_stride, dot);
  dot_step<kType, kRows, 3>(quants, q, tile.q_stride, dot);

  const Scales scales = load_scales<kType>(tile.scales, block);
  const float* scale = tile.scale + row * tile.scale_stride + block;
  const float* sums = tile.sums + row * tile.sums_stride + block;
#pragma GCC unroll 12
  for (int r = 0; r < kRows; ++r) {
    const __m512 scaled =
        _mm512_mul_ps(_mm512_cvtepi32_ps(dot[r]), _mm512_set1_ps(scale[r * tile.scale_stride]));
    sum.y[r] = _mm512_fmadd_ps(scales.d, scaled, sum.y[r]);
    sum.y[r] = _mm512_fmadd_ps(scales.m, _mm512_set1_ps(sums[r * tile.sums_stride]), sum.y[r]);
  }
}

// Q6_K: signed weights with a scale for each half. The rows are made unsigned, so each dot product is
// too large by 128 · (sum of the weights).
template <int kRows>
struct HalfDots {
  __m512i low[kRows], high[kRows];
  __m512i low_sum, high_sum;
};

template <int kRows, int kL>
inline void half_dot_step(const uint8_t* quants, const int8_t* q, int64_t stride, HalfDots<kRows>& dots) {
  const WeightPair weights = load_weights<DType::kQ6_K, kL>(quants);
  const __m512i offset = _mm512_set1_epi8(static_cast<char>(0x80));
  dots.low_sum = add_products(dots.low_sum, offset, weights.low);
  dots.high_sum = add_products(dots.high_sum, offset, weights.high);
#pragma GCC unroll 12
  for (int r = 0; r < kRows; ++r) {
    const int8_t* values = q + r * stride + 4 * kL;
    dots.low[r] = add_products(dots.low[r], _mm512_xor_si512(offset, broadcast4(values)), weights.low);
    dots.high[r] =
        add_products(dots.high[r], _mm512_xor_si512(offset, broadcast4(values + 16)), weights.high);
  }
}

template <int kRows>
inline void add_block_q6_k(const Q8Tile& tile, int64_t row, int64_t block, Accumulators<kRows>& sum) {
  const uint8_t* quants = tile.quants + block * panel_format(DType::kQ6_K).quant_bytes;
  const int8_t* q = tile.q + row * tile.q_stride + block * kBlockValues;
  HalfDots<kRows> dots;
  dots.low_sum = dots.high_sum = _mm512_setzero_si512();
#pragma GCC unroll 12
  for (int r = 0; r < kRows; ++r) dots.low[r] = dots.high[r] = _mm512_setzero_si512();
  half_dot_step<kRows, 0>(quants, q, tile.q_stride, dots);
  half_dot_step<kRows, 1>(quants, q, tile.q_stride, dots);
  half_dot_step<kRows, 2>(quants, q, tile.q_stride, dots);
  half_dot_step<kRows, 3>(quants, q, tile.q_stride, dots);

  const uint8_t* group = tile.scales + block / 8 * panel_format(DType::kQ6_K).group_scale_bytes;
  const uint8_t* packed = group + 32 + block % 8 * 32;
  const __m512 d = load_f16(group);
  const __m512 low_d = _mm512_mul_ps(d, load_i8(packed));
  const __m512 high_d = _mm512_mul_ps(d, load_i8(packed + 16));
  const float* scale = tile.scale + row * tile.scale_stride + block;
#pragma GCC unroll 12
  for (int r = 0; r < kRows; ++r) {
    const __m512 s = _mm512_set1_ps(scale[r * tile.scale_stride]);
    const __m512 low = _mm512_cvtepi32_ps(_mm512_sub_epi32(dots.low[r], dots.low_sum));
    const __m512 high = _mm512_cvtepi32_ps(_mm512_sub_epi32(dots.high[r], dots.high_sum));
    sum.y[r] = _mm512_fmadd_ps(low_d, _mm512_mul_ps(low, s), sum.y[r]);
    sum.y[r] = _mm512_fmadd_ps(high_d, _mm512_mul_ps(high, s), sum.y[r]);
  }
}

template <DType kType, int kRows>
void compute_rows(const Q8Tile& tile, int64_t row) {
  Accumulators<kRows> sum;
#pragma GCC unroll 12
  for (int r = 0; r < kRows; ++r) sum.y[r] = _mm512_setzero_ps();
  const bool prefetches = row == 0 && tile.prefetch != 0;
  for (int64_t block = 0; block < tile.blocks; ++block) {
    if (prefetches) prefetch_block<kType>(tile, block);
    if constexpr (kType == DType::kQ6_K) {
      add_block_q6_k<kRows>(tile, row, block, sum);
    } else {
      add_block<kType, kRows>(tile, row, block, sum);
    }
  }
  const __mmask16 columns = static_cast<__mmask16>((1u << tile.columns) - 1);
#pragma GCC unroll 12
  for (int r = 0; r < kRows; ++r) {
    if (tile.bias != nullptr) sum.y[r] = _mm512_add_ps(sum.y[r], _mm512_maskz_loadu_ps(columns, tile.bias));
    _mm512_mask_storeu_ps(tile.out + (row + r) * tile.out_stride, columns, sum.y[r]);
  }
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
  int64_t row = 0;
  for (; row + kMaxRows <= tile.rows; row += kMaxRows) compute_rows<kType, kMaxRows>(tile, row);
  compute_last_rows<kType, kMaxRows - 1>(tile, row);
}

inline Q8TileKernel tile_of_512(DType dtype) {
  switch (dtype) {
    case DType::kQ4_0:
      return compute_tile<DType::kQ4_0>;
    case DType::kQ4_1:
      return compute_tile<DType::kQ4_1>;
    case DType::kQ5_0:
      return compute_tile<DType::kQ5_0>;
    case DType::kQ5_1:
      return compute_tile<DType::kQ5_1>;
    case DType::kQ8_0:
      return compute_tile<DType::kQ8_0>;
    case DType::kQ4_K:
      return compute_tile<DType::kQ4_K>;
    case DType::kQ5_K:
      return compute_tile<DType::kQ5_K>;
    case DType::kQ6_K:
      return compute_tile<DType::kQ6_K>;
    default:
      return nullptr;
  }
}
