// AVX-512 VNNI. Only this file's own functions are compiled for it: what the headers define inline is not.
#include <immintrin.h>

#include "ops/linear/q8_panel.h"
#include "ops/linear/q8_tile.h"

// g++ 12 takes the "undefined" operand inside its own intrinsics for a variable that we forgot to set.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")

namespace musaic {
namespace {

inline __m512i add_products(__m512i sums, __m512i unsigned_bytes, __m512i signed_bytes) {
  return _mm512_dpbusd_epi32(sums, unsigned_bytes, signed_bytes);
}

inline __m512i add_wide_products(__m512i sums, __m512i unsigned_bytes, __m512i signed_bytes) {
  return add_products(sums, unsigned_bytes, signed_bytes);
}

#include "ops/linear/q8_tile_512.inl"

}  // namespace

#pragma GCC pop_options

Q8TileKernel q8_tile_vnni(DType dtype) {
  return tile_of_512(dtype);
}

}  // namespace musaic
