#pragma once

#include "backends/gpu/row_packs.cuh"
#include "hopper.cuh"
#include "ops/linear/ring_place.cuh"
#include "ops/linear/stripes_gpu.cuh"

// What the kernels share in which some warpgroups copy tiles into a ring of stages and others multiply.
namespace musaic {

inline constexpr int kWarpgroupRows = 64;

// A thread's own rows of a warpgroup's 64 (see Fp8Product): this one and the eighth behind.
__device__ inline int first_row_of_thread() {
  return static_cast<int>(threadIdx.x) % kWarpgroupSize / kWarpSize * 16 +
         static_cast<int>(threadIdx.x) % kWarpSize / 4;
}

// Of two neighbouring lanes' pairs of columns, the even lane gets both first ones, the odd one both second
// ones.
__device__ inline float4 four_columns(float a, float b, float c, float d, bool is_odd) {
  const float x = __shfl_xor_sync(0xffffffffu, is_odd ? a : c, 1);
  const float y = __shfl_xor_sync(0xffffffffu, is_odd ? b : d, 1);
  return is_odd ? make_float4(x, y, c, d) : make_float4(a, b, x, y);
}

// Starts the product of 64 rows of FP8 with kColumns others over a group of 128 of k, by a warpgroup.
template <int kColumns>
__device__ inline void start_fp8_group(uint64_t left, uint64_t right, float (&product)[kColumns / 2]) {
  begin_products();
#pragma unroll
  for (int i = 0; i < kSwizzledRow / 32; ++i)
    Fp8Product<kColumns>::add(product, left + 2 * i, right + 2 * i, i > 0);
  end_products();
}

// Adds such a product to the sum. `upper` and `lower`: the scales of the thread's two rows, times that of the
// columns.
template <int kSums>
__device__ void add_scaled(const float (&product)[kSums], float upper, float lower, float (&sum)[kSums]) {
#pragma unroll
  for (int i = 0; i < kSums; i += 4) {
    sum[i] = fmaf(product[i], upper, sum[i]);
    sum[i + 1] = fmaf(product[i + 1], upper, sum[i + 1]);
    sum[i + 2] = fmaf(product[i + 2], lower, sum[i + 2]);
    sum[i + 3] = fmaf(product[i + 3], lower, sum[i + 3]);
  }
}

__device__ inline void store_four(const float4& values, float* to) {
  *reinterpret_cast<float4*>(to) = values;
}
__device__ inline void store_four(const float4& values, gpuBfloat16* to) {
  const float four[] = {values.x, values.y, values.z, values.w};
  store_pack(four, to, 4, true);
}

// Where a warpgroup's sums go, in T. Of the 64 rows those below `rows` are there, of the columns those below
// `columns`.
template <class T>
struct TileOutput {
  T* y;  // the warpgroup's first row, its first column; a multiple of four values, as is the stride
  int64_t stride;
  int rows;
  int columns;       // a multiple of 4
  const void* bias;  // null: none
  DType bias_dtype;
  int64_t first_column;  // in the bias

  // Without a bias by code of its own: that is short, and a block waits for each line of what it runs once.
  template <int kSums>
  __device__ void write(const float (&sum)[kSums]) const {
    if (bias == nullptr) {
      write_columns<false>(sum);
    } else {
      write_columns<true>(sum);
    }
  }

 private:
  template <bool kHasBias, int kSums>
  __device__ void write_columns(const float (&sum)[kSums]) const {
    const int lane = static_cast<int>(threadIdx.x) % kWarpSize, row = first_row_of_thread();
    const bool is_odd = lane % 2 != 0, has_upper = row < rows, has_lower = row + 8 < rows;
    T* upper_row = y + row * stride;
    T* lower_row = upper_row + 8 * stride;
#pragma unroll
    for (int j = 0; j < kSums; j += 8) {
      const float4 upper = four_columns(sum[j], sum[j + 1], sum[j + 4], sum[j + 5], is_odd);
      const float4 lower = four_columns(sum[j + 2], sum[j + 3], sum[j + 6], sum[j + 7], is_odd);
      const int column = 2 * j + lane % 4 / 2 * 4 + (is_odd ? 8 : 0);
      if (column >= columns) continue;
      const float4 added = kHasBias ? bias_of(column) : make_float4(0, 0, 0, 0);
      if (has_upper) store_four(sum_of(upper, added), upper_row + column);
      if (has_lower) store_four(sum_of(lower, added), lower_row + column);
    }
  }

  static __device__ float4 sum_of(const float4& a, const float4& b) {
    return make_float4(a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w);
  }
  __device__ float4 bias_of(int column) const {
    const auto value = [&](int i) { return bias_value(bias, bias_dtype, first_column + column + i); };
    return make_float4(value(0), value(1), value(2), value(3));
  }
};

}  // namespace musaic
