#pragma once

#include "gpu_early_launch.cuh"
#include "ops/linear/linear_tile_few.cuh"

// Few rows, a tile a block and a value of y a thread at most. What stands between the rows and the results is
// a chain of instructions, each of which waits for the one before it: so all that does not depend on the
// rows, addresses too, is ready when they come.
namespace musaic {

// The compiler has the value ready here.
__device__ inline void keep_ready(int64_t& value) {
  asm volatile("" : "+l"(value));
}
__device__ inline void keep_ready(int& value) {
  asm volatile("" : "+r"(value));
}
__device__ inline void keep_ready(float& value) {
  asm volatile("" : "+f"(value));
}

// Where a lane finds its values of x.
template <class Shape>
struct OnceRows {
  int64_t offsets[Shape::kOctets];
  int num_chunks[Shape::kOctets];  // 0 where there is no row

  __device__ OnceRows(const LinearTileCall& call, int64_t first_row, int64_t rows, int begin, int end) {
    const int g = static_cast<int>(threadIdx.x) % 32 / 4, t = static_cast<int>(threadIdx.x) % 4;
#pragma unroll
    for (int o = 0; o < Shape::kOctets; ++o) {
      const int64_t row = first_row + o * kOctet + g;
      offsets[o] = row * call.linear.x.outer_stride + begin * kChunk + kOctet * t;
      num_chunks[o] = row < rows ? end - begin : 0;
      keep_ready(offsets[o]);
      keep_ready(num_chunks[o]);
    }
  }
  __device__ void load(const LinearTileCall& call, FewX<Shape>& x) const {
    float values[Shape::kDepth][Shape::kOctets][8];
#pragma unroll
    for (int d = 0; d < Shape::kDepth; ++d) {
#pragma unroll
      for (int o = 0; o < Shape::kOctets; ++o)
        load_x(static_cast<const float*>(call.linear.x.data) + offsets[o] + d * kChunk, d < num_chunks[o],
               /*is_aligned=*/true, values[d][o]);
    }
#pragma unroll
    for (int d = 0; d < Shape::kDepth; ++d) {
#pragma unroll
      for (int o = 0; o < Shape::kOctets; ++o) {
        if constexpr (Shape::kNorm) apply_norm_weight(x.norm_weights[d], values[d][o], x.squares[o]);
        x.chunks[d][o] = split_values<Shape::kParts>(values[d][o]);
      }
    }
  }
};

// The value of y that a thread makes, of a swiglu from two sums.
template <class Shape>
struct OnceOutput {
  static constexpr int kSquareFloats = Shape::kRows * FewMemory<Shape>::kStride;

  int64_t offset;  // in y; -1: the thread makes none
  int sums;        // in memory.sums
  int squares;     // in memory.squares
  float bias = 0;
  float up_bias = 0;

  __device__ OnceOutput(const LinearTileCall& call, int64_t first_row, int64_t rows, int64_t block_column)
      : offset(-1) {
    const int i = static_cast<int>(threadIdx.x);
    const int n = i % kSquare, square = i / kSquare / Shape::kRows * (call.swiglu ? 2 : 1);
    squares = i / kSquare % Shape::kRows;
    sums = square * kSquareFloats + squares * FewMemory<Shape>::kStride + n;
    const int64_t column = square_begin(call, block_column, square) + n;
    if (square < Shape::kSquares && first_row + squares < rows && column < call.linear.y.width) {
      offset = (first_row + squares) * call.linear.y.outer_stride + column;
      bias = bias_of(call, column);
      if (call.swiglu) up_bias = bias_of(call, column + call.linear.y.width);
    }
    keep_ready(offset);
    keep_ready(sums);
    keep_ready(squares);
    keep_ready(bias);
    keep_ready(up_bias);
  }
  __device__ bool is_there() const { return offset >= 0; }
  // What the value is added to; asked for at once.
  __device__ float addend(const LinearTileCall& call) const {
    return call.adds_to_y && is_there() ? *static_cast<const volatile float*>(y(call)) : 0.0f;
  }
  __device__ void put(const LinearTileCall& call, const Segments& segments, const FewMemory<Shape>& memory,
                      float addend) const {
    if (segments.count == kMostSegments) return put<kMostSegments>(call, segments, memory, addend);
    put<0>(call, segments, memory, addend);
  }

 private:
  static constexpr int kMostSegments = Shape::kThreads / 32;

  __device__ float* y(const LinearTileCall& call) const {
    return static_cast<float*>(call.linear.y.data) + offset;
  }
  // In their order; all of them are read at once. kCount 0: `count` of them.
  template <int kCount>
  static __device__ float sum_over_segments(const float* first, int stride, int count) {
    float sum = 0.0f;
#pragma unroll
    for (int s = 0; s < kMostSegments; ++s) {
      if (kCount > 0 || s < count) sum += first[s * stride];
    }
    return sum;
  }
  template <int kCount>
  __device__ void put(const LinearTileCall& call, const Segments& segments, const FewMemory<Shape>& memory,
                      float addend) const {
    constexpr int kWarpFloats = Shape::kSquares * kSquareFloats;
    const float* first = &memory.sums[0][0][0][0] + sums;
    float factor = 1.0f;
    if (Shape::kNorm) {
      const float* first_square = &memory.squares[0][0] + squares;
      factor = norm_factor(sum_over_segments<kCount>(first_square, Shape::kRows, segments.count),
                           segments.inverse_k, call.eps);
    }
    float value = finish_sum(sum_over_segments<kCount>(first, kWarpFloats, segments.count), factor, bias);
    if (Shape::kSquares > 1 && call.swiglu) {
      const float up = sum_over_segments<kCount>(first + kSquareFloats, kWarpFloats, segments.count);
      value = swiglu_of(value, finish_sum(up, factor, up_bias));
    }
    *y(call) = call.adds_to_y ? __fadd_rn(addend, value) : value;
  }
};

// REQUIRES: as many blocks as tiles, segments of kDepth chunks at most, aligned rows, and a thread for each
// of the block's values.
template <class Shape>
__global__ void __launch_bounds__(Shape::kThreads, Shape::kBlocksAtOnce)
    linear_few_once(LinearTileCall call, Segments segments) {
  __shared__ FewMemory<Shape> memory;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int begin = warp * segments.length, end = min(begin + segments.length, segments.chunks);
  const FewTiles<Shape> tiles(call);
  FewWeights<Shape> weights = {};  // zeros behind a short segment's end
  FewX<Shape> x = {};
  weights.load(call, tiles, blockIdx.x, begin, end);
  x.load_norm(call, begin, end);
  const int64_t rows = live_count(call.linear.live_rows, call.linear.x.outer);
  const int64_t first_row = static_cast<int64_t>(blockIdx.y) * Shape::kRows;
  let_next_kernel_start();
  const OnceRows<Shape> x_rows(call, first_row, rows, begin, end);
  const OnceOutput<Shape> output(call, first_row, rows, blockIdx.x * tiles.columns);
  wait_for_previous_kernel();
  if (first_row >= rows) return;

  const float addend = output.addend(call);
  x_rows.load(call, x);
  ChainSums<Shape::kParts> sums[Shape::kSquares][Shape::kOctets] = {};
#pragma unroll
  for (int d = 0; d < Shape::kDepth; ++d) add_products(weights.chunks[d], x.chunks[d], sums);
  put_sums<Shape>(sums, memory);
  if (Shape::kNorm) put_squares<Shape>(x, memory);
  __syncthreads();
  if (output.is_there()) output.put(call, segments, memory, addend);
}

}  // namespace musaic
