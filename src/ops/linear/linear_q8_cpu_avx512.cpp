// AVX-512 without VNNI. Only this file's own functions are compiled for it: what the headers define inline is
// not.
#include <immintrin.h>

#include "ops/linear/q8_panel.h"
#include "ops/linear/q8_tile.h"

// g++ 12 takes the "undefined" operand inside its own intrinsics for a variable that we forgot to set.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")

namespace musaic {
namespace {

// Held in a register from here on: otherwise the compiler makes a tree of a block's additions, whose leaves
// go through memory.
inline __m512i add(__m512i sums, __m512i products) {
  __m512i sum = _mm512_add_epi32(sums, products);
  asm("" : "+v"(sum));
  return sum;
}

inline __m512i add_products(__m512i sums, __m512i unsigned_bytes, __m512i signed_bytes) {
  const __m512i pairs = _mm512_maddubs_epi16(unsigned_bytes, signed_bytes);
  return add(sums, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)));
}

// Half a byte at a time: products of whole ones would leave 16 bits.
inline __m512i add_wide_products(__m512i sums, __m512i unsigned_bytes, __m512i signed_bytes) {
  const __m512i mask = _mm512_set1_epi8(0x0F);
  const __m512i low = _mm512_and_si512(unsigned_bytes, mask);
  const __m512i high = _mm512_and_si512(_mm512_srli_epi16(unsigned_bytes, 4), mask);
  const __m512i sixteens = _mm512_madd_epi16(_mm512_maddubs_epi16(high, signed_bytes), _mm512_set1_epi16(16));
  return add_products(add(sums, sixteens), low, signed_bytes);
}

#include "ops/linear/q8_tile_512.inl"

}  // namespace

#pragma GCC pop_options

Q8TileKernel q8_tile_avx512(DType dtype) {
  return tile_of_512(dtype);
}

}  // namespace musaic
