#pragma once

#include "backends/gpu/row_packs.cuh"

// Rotation of N neighbouring pairs of one head, as the CPU's kernels round it.
namespace musaic {

template <int N>
struct Pairs {
  float a[N];
  float b[N];
};

// The pairs from number `first` on. Pair i is (i, i + half), or (2i, 2i + 1) when interleaved.
template <class T, int N>
__device__ Pairs<N> load_pairs(const T* head, int64_t first, int64_t half, bool interleaved) {
  Pairs<N> pairs;
  if (!interleaved) {
    load_pack<T, N>(head + first, N, true, pairs.a);
    load_pack<T, N>(head + half + first, N, true, pairs.b);
    return pairs;
  }
  float values[2 * N];
  load_pack<T, 2 * N>(head + 2 * first, 2 * N, N > 1, values);
#pragma unroll
  for (int i = 0; i < N; ++i) {
    pairs.a[i] = values[2 * i];
    pairs.b[i] = values[2 * i + 1];
  }
  return pairs;
}

template <class T, int N>
__device__ void store_pairs(const Pairs<N>& pairs, T* head, int64_t first, int64_t half, bool interleaved) {
  if (!interleaved) {
    store_pack<T, N>(pairs.a, head + first, N, true);
    store_pack<T, N>(pairs.b, head + half + first, N, true);
    return;
  }
  float values[2 * N];
#pragma unroll
  for (int i = 0; i < N; ++i) {
    values[2 * i] = pairs.a[i];
    values[2 * i + 1] = pairs.b[i];
  }
  store_pack<T, 2 * N>(values, head + 2 * first, 2 * N, N > 1);
}

// cos_sin: `half` cosines, then `half` sines.
template <int N>
__device__ void rotate(Pairs<N>& pairs, const float* cos_sin, int64_t first, int64_t half) {
  float cosines[N];
  float sines[N];
  load_pack<float, N>(cos_sin + first, N, true, cosines);
  load_pack<float, N>(cos_sin + half + first, N, true, sines);
#pragma unroll
  for (int i = 0; i < N; ++i) {
    const float a = pairs.a[i];
    const float b = pairs.b[i];
    pairs.a[i] = fmaf(a, cosines[i], -__fmul_rn(b, sines[i]));
    pairs.b[i] = fmaf(b, cosines[i], __fmul_rn(a, sines[i]));
  }
}

inline constexpr int kPairsAtOnce = 4;

// Whether heads of T can be rotated kPairsAtOnce pairs at a time, at 8 or 16 bytes a move.
template <class T>
bool rotates_in_packs(const DeviceRows& x, const DeviceRows& cos_sin, int64_t head_dim, bool interleaved) {
  const bool aligned =
      interleaved ? has_whole_packs<T, 2 * kPairsAtOnce>(x) : has_whole_packs<T, kPairsAtOnce>(x);
  return aligned && head_dim % (2 * kPairsAtOnce) == 0 && cos_sin.width % (2 * kPairsAtOnce) == 0 &&
         has_whole_packs<float, kPairsAtOnce>(cos_sin);
}

}  // namespace musaic
