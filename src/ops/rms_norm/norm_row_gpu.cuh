#pragma once

#include "backends/gpu/row_packs.cuh"
#include "gpu_copy.cuh"

// RMS norm of one row by the threads of one threadIdx.y, shared by the kernels that norm. Which thread sums
// what depends on the row's width only: so all of them get the same bits, whatever the addresses.
namespace musaic {

// The first packs of a thread stay in registers; it reads the others of a very wide row twice.
template <class T>
inline constexpr int kKeptPacks = 8 / kPackWidth<T>;

inline constexpr int kMaxNormThreads = 512;  // of a block: leaves each 128 registers

// The threads that share a row, and rows in a block of one-warp rows.
template <class T>
dim3 norm_block(int64_t width, int64_t rows) {
  constexpr int64_t kWide = kMaxNormThreads;  // packs: one a thread up to here
  constexpr unsigned kRowsOfWarps = 4;
  const int64_t packs = (width + kPackWidth<T> - 1) / kPackWidth<T>;
  int64_t threads = packs <= kWide ? packs : (packs + kKeptPacks<T> - 1) / kKeptPacks<T>;
  if (packs > kWide && threads < kWide) threads = kWide;
  if (threads > kMaxNormThreads) threads = kMaxNormThreads;
  threads = (threads + kWarpSize - 1) / kWarpSize * kWarpSize;
  if (threads == 0) threads = kWarpSize;
  const bool is_warp = threads == kWarpSize;
  return dim3(static_cast<unsigned>(threads), is_warp && rows >= kRowsOfWarps ? kRowsOfWarps : 1);
}

inline dim3 norm_grid(int64_t rows, dim3 block) {
  return dim3(static_cast<unsigned>((rows + block.y - 1) / block.y));
}

template <class T, class W>
struct NormRow {
  const T* x;
  T* residual;     // null: the plain norm. x + residual [+ extra], rounded to T, is written to it
  const T* extra;  // may be null
  const W* weight;
  int width;
  float eps;
  bool whole;  // all packs are
};

// Adds `addend`, where there is one, to the pack at `column`.
template <class T, int N>
__device__ void add_pack(const T* addend, int column, int width, bool whole, float (&values)[N]) {
  if (addend == nullptr) return;
  float more[N];
  load_pack(addend + column, width - column, whole, more);
#pragma unroll
  for (int i = 0; i < N; ++i) values[i] = __fadd_rn(values[i], more[i]);
}

template <int N>
__device__ float add_squares(const float (&values)[N], float sum) {
#pragma unroll
  for (int i = 0; i < N; ++i) sum = fmaf(values[i], values[i], sum);
  return sum;
}

// Rounds the new residual and stores it.
template <class T, class W, int N>
__device__ void keep_residual(const NormRow<T, W>& row, int column, float (&values)[N]) {
  if (row.residual == nullptr) return;
#pragma unroll
  for (int i = 0; i < N; ++i) values[i] = to_float(from_float<T>(values[i]));
  store_pack(values, row.residual + column, row.width - column, row.whole);
}

// What the norm works on at `column`, read for the first time.
template <class T, class W, int N>
__device__ void load_sum(const NormRow<T, W>& row, int column, float (&values)[N]) {
  load_pack(row.x + column, row.width - column, row.whole, values);
  add_pack<T>(row.residual, column, row.width, row.whole, values);
  add_pack(row.extra, column, row.width, row.whole, values);
}

// values · factor · weight.
template <int N>
__device__ void scale_pack(float factor, const float (&weights)[N], float (&values)[N]) {
#pragma unroll
  for (int i = 0; i < N; ++i) values[i] = __fmul_rn(__fmul_rn(values[i], factor), weights[i]);
}

// Starts to bring the thread's first pack of the weight, before there is a row to norm.
template <class W>
__device__ void prefetch_weight(const W* weight, int64_t width) {
  constexpr int N = kPackWidth<float>;
  if (threadIdx.x * N < width) prefetch(weight + threadIdx.x * N);
}

// Calls use(column, values) with each pack of the normed row, its last one padded with zeros; every lane of a
// warp calls it equally often, beyond the row with a column >= width. REQUIRES: every thread of the block
// takes part; `scratch` as block_sum wants it.
template <class T, class W, class Use>
__device__ void norm_row(const NormRow<T, W>& row, float* scratch, Use use) {
  constexpr int N = kPackWidth<T>;
  constexpr int kKept = kKeptPacks<T>;
  const int step = static_cast<int>(blockDim.x) * N;
  const int first = static_cast<int>(threadIdx.x) * N;
  float kept[kKept][N] = {};
  float weights[kKept][N] = {};
#pragma unroll
  for (int j = 0; j < kKept; ++j) {
    const int column = first + j * step;
    if (column >= row.width) continue;
    load_sum(row, column, kept[j]);
    load_pack(row.weight + column, row.width - column, row.whole, weights[j]);
  }
  float squares = 0.0f;
#pragma unroll
  for (int j = 0; j < kKept; ++j) {
    const int column = first + j * step;
    if (column >= row.width) continue;
    keep_residual(row, column, kept[j]);
    squares = add_squares(kept[j], squares);
  }
  for (int column = first + kKept * step; column < row.width; column += step) {
    float values[N];
    load_sum(row, column, values);
    keep_residual(row, column, values);
    squares = add_squares(values, squares);
  }
  squares = blockDim.x == kWarpSize ? warp_sum(squares) : block_sum(squares, scratch);
  const float mean = __fdiv_rn(squares, static_cast<float>(row.width));
  const float factor = __fdiv_rn(1.0f, __fsqrt_rn(__fadd_rn(mean, row.eps)));

#pragma unroll
  for (int j = 0; j < kKept; ++j) {
    if (j * step >= row.width) break;
    scale_pack(factor, weights[j], kept[j]);
    use(first + j * step, kept[j]);
  }
  const T* source = row.residual != nullptr ? row.residual : row.x;
  for (int base = kKept * step; base < row.width; base += step) {
    const int column = base + first;
    float values[N] = {};
    float factors[N] = {};
    if (column < row.width) {
      load_pack(source + column, row.width - column, row.whole, values);
      load_pack(row.weight + column, row.width - column, row.whole, factors);
    }
    scale_pack(factor, factors, values);
    use(column, values);
  }
}

}  // namespace musaic
