#pragma once

#include "ops/linear/linear_tile.cuh"

// Few rows: a warp a segment of k. The weights of its first tile are under way before a block waits for its
// input, those of its next tile while it adds up the segments of this one.
namespace musaic {

inline constexpr int kFewTileThreads = 32 * kMaxSegments;

template <int kOctets_, int kSquares_, int kDepth_, bool kNorm_, int kParts_>
struct FewShape {
  static constexpr int kOctets = kOctets_;    // of rows of x
  static constexpr int kSquares = kSquares_;  // of rows of the weight
  static constexpr int kDepth = kDepth_;      // chunks under way at once
  static constexpr bool kNorm = kNorm_;
  static constexpr int kParts = kParts_;  // of x
  static constexpr int kRows = kOctet * kOctets;
  static constexpr int kThreads = kDepth <= 2 ? 288 : kFewTileThreads;       // at most
  static constexpr int kBlocksAtOnce = kDepth <= 2 && kOctets == 1 ? 2 : 1;  // on a multiprocessor
};

template <class Shape>
struct FewMemory {
  static constexpr int kStride = kSquare + 4;  // lanes that write at once meet different banks
  float sums[Shape::kThreads / 32][Shape::kSquares][Shape::kRows][kStride];
  float squares[Shape::kThreads / 32][Shape::kRows];
};

// The tiles of a call: kSquares of the weight's rows each.
template <class Shape>
struct FewTiles {
  int64_t num_weight_rows;
  int64_t columns;  // of y, a tile

  __device__ explicit FewTiles(const LinearTileCall& call)
      : num_weight_rows(weight_rows_of(call)),
        columns((call.swiglu ? Shape::kSquares / 2 : Shape::kSquares) * kSquare) {}
  __device__ const gpuBfloat16* weight_row(const LinearTileCall& call, int64_t tile, int square,
                                           int g) const {
    const int64_t begin = square_begin(call, tile * columns, square);
    const int64_t row = (begin < num_weight_rows ? begin : 0) + g;
    return reinterpret_cast<const gpuBfloat16*>(call.linear.weight) + row * call.linear.x.width;
  }
};

// A lane's weights of kDepth chunks from `first` on, as far as there are any before `last`.
template <class Shape>
struct FewWeights {
  WeightChunk chunks[Shape::kDepth][Shape::kSquares];

  __device__ void load(const LinearTileCall& call, const FewTiles<Shape>& tiles, int64_t tile, int first,
                       int last) {
    const int g = static_cast<int>(threadIdx.x) % 32 / 4, t = static_cast<int>(threadIdx.x) % 4;
#pragma unroll
    for (int s = 0; s < Shape::kSquares; ++s) {
      const gpuBfloat16* from = tiles.weight_row(call, tile, s, g) + kOctet * t + first * kChunk;
#pragma unroll
      for (int d = 0; d < Shape::kDepth; ++d) {
        if (first + d >= last) break;
        chunks[d][s].low = __ldcs(reinterpret_cast<const uint4*>(from + d * kChunk));
        chunks[d][s].high =
            __ldcs(reinterpret_cast<const uint4*>(from + d * kChunk + kOctet * call.linear.x.width));
      }
    }
  }
};

// A lane's parts of x of kDepth chunks, and the squares of what it has read so far.
template <class Shape>
struct FewX {
  XChunk<Shape::kParts> chunks[Shape::kDepth][Shape::kOctets];
  float norm_weights[Shape::kNorm ? Shape::kDepth : 1][8];
  float squares[Shape::kOctets];

  __device__ void load_norm(const LinearTileCall& call, int first, int last) {
    if constexpr (Shape::kNorm) {
      const int column = kOctet * (static_cast<int>(threadIdx.x) % 4);
#pragma unroll
      for (int d = 0; d < Shape::kDepth; ++d) {
        if (first + d < last) load_norm_weight(call, (first + d) * kChunk + column, norm_weights[d]);
      }
    }
  }
  // Rows from `rows` on are 0.
  __device__ void load(const LinearTileCall& call, int64_t first_row, int64_t rows, bool is_aligned,
                       int first, int last) {
    const int g = static_cast<int>(threadIdx.x) % 32 / 4, t = static_cast<int>(threadIdx.x) % 4;
    float x[Shape::kDepth][Shape::kOctets][8];
#pragma unroll
    for (int d = 0; d < Shape::kDepth; ++d) {
#pragma unroll
      for (int o = 0; o < Shape::kOctets; ++o) {
        const int64_t row = first_row + o * kOctet + g;
        const float* from = static_cast<const float*>(call.linear.x.data) + row * call.linear.x.outer_stride;
        load_x(from + (first + d) * kChunk + kOctet * t, first + d < last && row < rows, is_aligned, x[d][o]);
      }
    }
#pragma unroll
    for (int d = 0; d < Shape::kDepth; ++d) {
#pragma unroll
      for (int o = 0; o < Shape::kOctets; ++o) {
        if constexpr (Shape::kNorm) {
          if (first + d < last) apply_norm_weight(norm_weights[d], x[d][o], squares[o]);
        }
        chunks[d][o] = split_values<Shape::kParts>(x[d][o]);
      }
    }
  }
};

// The values of one tile that a thread finishes: number i of all is thread i % blockDim.x's.
template <class Shape>
struct FewOutputs {
  const LinearTileCall& call;
  int64_t first_row;
  int64_t rows;
  int num_segments;
  float inverse_k;

  __device__ static int count(bool swiglu) {
    return Shape::kSquares / (swiglu ? 2 : 1) * Shape::kRows * kSquare;
  }

  // What it is added to, read while the sum is still being made; 0 where there is none.
  __device__ float addend(int i, int64_t block_column) const {
    const int row = i / kSquare % Shape::kRows, square = i / kSquare / Shape::kRows;
    if (!call.adds_to_y || i >= count(call.swiglu)) return 0.0f;
    const int64_t column = square_begin(call, block_column, call.swiglu ? 2 * square : square) + i % kSquare;
    if (first_row + row >= rows || column >= call.linear.y.width) return 0.0f;
    return *y_at(first_row + row, column);
  }
  __device__ void put(int i, int64_t block_column, const FewMemory<Shape>& memory, float addend) const {
    const int n = i % kSquare, row = i / kSquare % Shape::kRows;
    const int square = i / kSquare / Shape::kRows * (call.swiglu ? 2 : 1);
    const int64_t column = square_begin(call, block_column, square) + n;
    if (first_row + row >= rows || column >= call.linear.y.width) return;
    const float factor = Shape::kNorm ? factor_of(memory, row) : 1.0f;
    float value = finish_sum(sum_of(memory, square, row, n), factor, bias_of(call, column));
    if (Shape::kSquares > 1 && call.swiglu) {
      const int64_t up_row = column + call.linear.y.width;
      value = swiglu_of(value, finish_sum(sum_of(memory, square + 1, row, n), factor, bias_of(call, up_row)));
    }
    *y_at(first_row + row, column) = call.adds_to_y ? __fadd_rn(addend, value) : value;
  }

 private:
  __device__ float* y_at(int64_t row, int64_t column) const {
    return static_cast<float*>(call.linear.y.data) + row * call.linear.y.outer_stride + column;
  }
  __device__ float factor_of(const FewMemory<Shape>& memory, int row) const {
    const float sum = sum_over_segments([&](int s) { return memory.squares[s][row]; });
    return norm_factor(sum, inverse_k, call.eps);
  }
  __device__ float sum_of(const FewMemory<Shape>& memory, int square, int row, int n) const {
    return sum_over_segments([&](int s) { return memory.sums[s][square][row][n]; });
  }
  // In their order; all of them are read at once.
  template <class Value>
  __device__ float sum_over_segments(Value value) const {
    float sum = 0.0f;
#pragma unroll
    for (int s = 0; s < Shape::kThreads / 32; ++s) {
      if (s < num_segments) sum += value(s);
    }
    return sum;
  }
};

template <class Shape>
__device__ void put_sums(const ChainSums<Shape::kParts> (&sums)[Shape::kSquares][Shape::kOctets],
                         FewMemory<Shape>& memory) {
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int g = static_cast<int>(threadIdx.x) % 32 / 4, t = static_cast<int>(threadIdx.x) % 4;
#pragma unroll
  for (int o = 0; o < Shape::kOctets; ++o) {
#pragma unroll
    for (int s = 0; s < Shape::kSquares; ++s) {
#pragma unroll
      for (int i = 0; i < 4; ++i)
        memory.sums[warp][s][o * kOctet + 2 * t + i % 2][g + i / 2 * kOctet] = sums[s][o].sum(i);
    }
  }
}

// The squares of the rows' segments.
template <class Shape>
__device__ void put_squares(const FewX<Shape>& x, FewMemory<Shape>& memory) {
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
  for (int o = 0; o < Shape::kOctets; ++o) {
    const float sum = sum_over_quad(x.squares[o]);
    if (lane % 4 == 0) memory.squares[warp][o * kOctet + lane / 4] = sum;
  }
}

template <class Shape>
__global__ void __launch_bounds__(Shape::kThreads, Shape::kBlocksAtOnce)
    linear_few_tile(LinearTileCall call, Segments segments, int num_tiles, bool is_aligned) {
  __shared__ FewMemory<Shape> memory;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int begin = warp * segments.length, end = min(begin + segments.length, segments.chunks);
  const FewTiles<Shape> tiles(call);
  FewWeights<Shape> weights;
  FewX<Shape> x;
  weights.load(call, tiles, blockIdx.x, begin, end);
  x.load_norm(call, begin, end);
#pragma unroll
  for (int o = 0; o < Shape::kOctets; ++o) x.squares[o] = 0.0f;
  const int64_t rows = live_count(call.linear.live_rows, call.linear.x.outer);
  wait_for_previous_kernel();
  const int64_t first_row = static_cast<int64_t>(blockIdx.y) * Shape::kRows;
  if (first_row >= rows) return;

  const FewOutputs<Shape> outputs = {call, first_row, rows, segments.count, segments.inverse_k};
  const bool keeps_x = segments.length <= Shape::kDepth;  // over all tiles
  x.load(call, first_row, rows, is_aligned, begin, end);
  for (int tile = static_cast<int>(blockIdx.x); tile < num_tiles; tile += static_cast<int>(gridDim.x)) {
    const bool is_first = tile == static_cast<int>(blockIdx.x);
    const float addend = outputs.addend(static_cast<int>(threadIdx.x), tile * tiles.columns);
    ChainSums<Shape::kParts> sums[Shape::kSquares][Shape::kOctets];
#pragma unroll
    for (int s = 0; s < Shape::kSquares; ++s) {
#pragma unroll
      for (int o = 0; o < Shape::kOctets; ++o) sums[s][o].clear();
    }
    for (int first = begin; first < end; first += Shape::kDepth) {
      if (!keeps_x && (first > begin || !is_first)) {
        x.load_norm(call, first, end);
        x.load(call, first_row, rows, is_aligned, first, end);
      }
#pragma unroll
      for (int d = 0; d < Shape::kDepth; ++d) {
        if (first + d < end) add_products(weights.chunks[d], x.chunks[d], sums);
      }
      if (first + Shape::kDepth < end) weights.load(call, tiles, tile, first + Shape::kDepth, end);
    }
    const int next = tile + static_cast<int>(gridDim.x);
    if (next < num_tiles) weights.load(call, tiles, next, begin, end);
    if (!is_first) __syncthreads();  // the last tile's sums were read
    put_sums<Shape>(sums, memory);
    if (Shape::kNorm && is_first) put_squares<Shape>(x, memory);
    __syncthreads();
    const int count = FewOutputs<Shape>::count(call.swiglu);
    for (int i = static_cast<int>(threadIdx.x); i < count; i += static_cast<int>(blockDim.x)) {
      const bool has_addend = i == static_cast<int>(threadIdx.x);
      outputs.put(i, tile * tiles.columns, memory,
                  has_addend ? addend : outputs.addend(i, tile * tiles.columns));
    }
  }
}

}  // namespace musaic
