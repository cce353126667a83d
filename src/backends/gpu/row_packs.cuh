#pragma once

#include "backends/gpu/device_math.cuh"

// Rows in packs of values that one thread moves at once: 16 bytes where addresses and strides allow it, value
// by value otherwise. Either way a pack has the same values and the same thread.
namespace musaic {

template <class T>
inline constexpr int kPackWidth = 16 / static_cast<int>(sizeof(T));

template <class T, int N>
struct alignas(sizeof(T) * N < 16 ? sizeof(T) * N : 16) Pack {
  T values[N];
};

inline bool is_aligned(const void* address, size_t bytes) {
  return reinterpret_cast<uintptr_t>(address) % bytes == 0;
}

// Whether all packs of N values are whole and can be moved at once; an absent tensor does not hinder.
template <class T, int N>
bool has_whole_packs(const DeviceRows& rows) {
  if (rows.data == nullptr) return true;
  return rows.width % N == 0 && is_aligned(rows.data, alignof(Pack<T, N>)) &&
         (rows.outer == 1 || rows.outer_stride % N == 0) && (rows.inner == 1 || rows.inner_stride % N == 0);
}

// The first `count` values of a pack, zeros after them; all N if it is whole.
template <class T, int N>
__device__ void load_pack(const T* from, int64_t count, bool whole, float (&to)[N]) {
  if (whole) {
    const Pack<T, N> pack = *reinterpret_cast<const Pack<T, N>*>(from);
#pragma unroll
    for (int i = 0; i < N; ++i) to[i] = to_float(pack.values[i]);
    return;
  }
#pragma unroll
  for (int i = 0; i < N; ++i) to[i] = i < count ? to_float(from[i]) : 0.0f;
}

template <class T, int N>
__device__ void store_pack(const float (&from)[N], T* to, int64_t count, bool whole) {
  if (whole) {
    Pack<T, N> pack;
#pragma unroll
    for (int i = 0; i < N; ++i) pack.values[i] = from_float<T>(from[i]);
    *reinterpret_cast<Pack<T, N>*>(to) = pack;
    return;
  }
#pragma unroll
  for (int i = 0; i < N; ++i) {
    if (i < count) to[i] = from_float<T>(from[i]);
  }
}

// A thread for each pack of `rows` rows of `packs` packs. Rows of up to 32 packs take a power of two of
// lanes, longer ones whole warps, so that aligned groups of 2, 4, 8 .. lanes hold neighbours of one row.
struct RowGrid {
  dim3 grid = dim3(0);
  dim3 block = dim3(1);
  unsigned blocks_a_row = 1;

  static RowGrid of(int64_t rows, int64_t packs) {
    constexpr int64_t kThreads = 256;
    if (rows == 0 || packs == 0) return {};
    int64_t lanes = 1;
    while (lanes < packs && lanes < kWarpSize) lanes *= 2;
    if (packs > kWarpSize) lanes = (packs + kWarpSize - 1) / kWarpSize * kWarpSize;
    if (lanes > kThreads) lanes = kThreads;
    int64_t rows_a_block = kThreads / lanes;
    while (rows_a_block > 1 && rows_a_block / 2 >= rows) rows_a_block /= 2;
    while (lanes * rows_a_block < kWarpSize) rows_a_block *= 2;  // whole warps only
    RowGrid shape;
    shape.blocks_a_row = static_cast<unsigned>((packs + lanes - 1) / lanes);
    shape.block = dim3(static_cast<unsigned>(lanes), static_cast<unsigned>(rows_a_block));
    shape.grid = dim3(static_cast<unsigned>((rows + rows_a_block - 1) / rows_a_block) * shape.blocks_a_row);
    return shape;
  }
};

// The calling thread's place in a RowGrid; may lie behind the last row or pack.
struct PackPlace {
  int64_t row;
  int64_t pack;
};

__device__ inline PackPlace my_pack(unsigned blocks_a_row) {
  const int64_t row = static_cast<int64_t>(blockIdx.x / blocks_a_row) * blockDim.y + threadIdx.y;
  return {row, static_cast<int64_t>(blockIdx.x % blocks_a_row) * blockDim.x + threadIdx.x};
}

}  // namespace musaic
