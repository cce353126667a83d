#pragma once

#include "gpu_copy.cuh"
#include "gpu_launch.cuh"
#include "ops/linear/linear_tile.cuh"

// Many rows: tiles of the product, chunks of the weight and of x streamed through shared memory.
namespace musaic {

// A block's tile: kWarpsDown × kWarpsAcross warps of kSquares × kOctets products.
template <int kSquares_, int kOctets_, int kWarpsDown_, int kWarpsAcross_, int kStages_, int kParts_>
struct ManyShape {
  static constexpr int kSquares = kSquares_;
  static constexpr int kOctets = kOctets_;
  static constexpr int kWarpsDown = kWarpsDown_;
  static constexpr int kWarpsAcross = kWarpsAcross_;
  static constexpr int kStages = kStages_;
  static constexpr int kParts = kParts_;  // of x
  static constexpr int kThreads = 32 * kWarpsDown * kWarpsAcross;
  static constexpr int kWeightRows = kSquare * kSquares * kWarpsDown;
  static constexpr int kRows = kOctet * kOctets * kWarpsAcross;
};

inline constexpr int kWeightPacks = kChunk * 2 / 16;  // of 16 bytes, of a row's chunk
inline constexpr int kXPacks = kChunk * 4 / 16;

// Where pack `pack` of a row of x lies: the first halves of the lanes' values, then the second, in odd rows
// the other way round, so that eight lanes that read at once meet all banks.
__device__ inline int x_place(int row, int pack) {
  return (pack % 2 ^ row % 2) * 4 + pack / 2;
}

template <class Shape>
struct ManyStage {
  uint4 weight[Shape::kWeightRows * kWeightPacks];
  float4 x[Shape::kRows * kXPacks];

  __device__ WeightChunk weight_chunk(int square, int g, int t) const {
    const uint4* row = weight + (square * kSquare + g) * kWeightPacks + t;
    return {row[0], row[kOctet * kWeightPacks]};
  }
  __device__ void x_values(int octet, int g, int t, float (&values)[8]) const {
    const float4* row = x + (octet * kOctet + g) * kXPacks;
    const float4 low = row[x_place(g, 2 * t)], high = row[x_place(g, 2 * t + 1)];
    values[0] = low.x, values[1] = low.y, values[2] = low.z, values[3] = low.w;
    values[4] = high.x, values[5] = high.y, values[6] = high.z, values[7] = high.w;
  }
};

// What one block multiplies.
struct ManyTile {
  const LinearTileCall& call;
  int64_t block_column;
  int64_t first_row;
  int64_t rows;  // live ones of the call
};

// What a thread copies of every chunk: packs so many threads apart, each from a place of its own.
template <class Shape>
class ManyCopies {
 public:
  __device__ void find_weight(const ManyTile& tile) {
    const LinearTileCall& call = tile.call;
    const int64_t num_rows = weight_rows_of(call);
#pragma unroll
    for (int i = 0; i < kWeights; ++i) {
      const int at = static_cast<int>(threadIdx.x) + i * Shape::kThreads;
      const int row = at / kWeightPacks, pack = at % kWeightPacks;
      const int64_t source = square_begin(call, tile.block_column, row / kSquare) + row % kSquare;
      has_weight_[i] = source < num_rows;
      weight_[i] = call.linear.weight + ((has_weight_[i] ? source : 0) * call.linear.x.width + pack * 8) * 2;
    }
  }
  __device__ void find_x(const ManyTile& tile) {
    const uint8_t* x = static_cast<const uint8_t*>(tile.call.linear.x.data);
#pragma unroll
    for (int i = 0; i < kXs; ++i) {
      const int at = static_cast<int>(threadIdx.x) + i * Shape::kThreads;
      const int64_t row = tile.first_row + at / kXPacks;
      has_x_[i] = row < tile.rows;
      x_[i] = x + ((has_x_[i] ? row : 0) * tile.call.linear.x.outer_stride + at % kXPacks * 4) * 4;
    }
  }
  __device__ void load_weight(int chunk, ManyStage<Shape>& stage) const {
    uint4* to = stage.weight + threadIdx.x;
#pragma unroll
    for (int i = 0; i < kWeights; ++i)
      start_copy(to + i * Shape::kThreads, weight_[i] + chunk * (kChunk * 2), has_weight_[i]);
  }
  __device__ void load_x(int chunk, ManyStage<Shape>& stage) const {
    // Rows of one thread's packs are an even number apart.
    static_assert(Shape::kThreads % (2 * kXPacks) == 0, "and so take the same place");
    const int row = static_cast<int>(threadIdx.x) / kXPacks, pack = static_cast<int>(threadIdx.x) % kXPacks;
    float4* to = stage.x + row * kXPacks + x_place(row, pack);
#pragma unroll
    for (int i = 0; i < kXs; ++i)
      start_copy(to + i * Shape::kThreads, x_[i] + chunk * (kChunk * 4), has_x_[i]);
  }

 private:
  static constexpr int kWeights = Shape::kWeightRows * kWeightPacks / Shape::kThreads;
  static constexpr int kXs = Shape::kRows * kXPacks / Shape::kThreads;
  static_assert(kWeights * Shape::kThreads == Shape::kWeightRows * kWeightPacks,
                "threads share a stage evenly");
  static_assert(kXs * Shape::kThreads == Shape::kRows * kXPacks, "threads share a stage evenly");
  const uint8_t* weight_[kWeights];
  const uint8_t* x_[kXs];
  bool has_weight_[kWeights];
  bool has_x_[kXs];
};

// The products of one warp, of a segment and of those before it, and its rows' squares.
template <class Shape, bool kNorm>
struct WarpSums {
  ChainSums<Shape::kParts> segment[Shape::kSquares][Shape::kOctets];
  float total[Shape::kSquares][Shape::kOctets][4];
  float segment_squares[Shape::kOctets];  // the lane's
  float squares[Shape::kOctets];          // of row g of an octet

  __device__ void clear() {
    clear_segment();
#pragma unroll
    for (int o = 0; o < Shape::kOctets; ++o) {
      squares[o] = 0.0f;
#pragma unroll
      for (int s = 0; s < Shape::kSquares; ++s) {
#pragma unroll
        for (int i = 0; i < 4; ++i) total[s][o][i] = 0.0f;
      }
    }
  }
  __device__ void add(const ManyStage<Shape>& stage, int first_square, int first_octet,
                      const float (&norm_weights)[8]) {
    const int g = static_cast<int>(threadIdx.x) % 32 / 4, t = static_cast<int>(threadIdx.x) % 4;
    WeightChunk weights[Shape::kSquares];
#pragma unroll
    for (int s = 0; s < Shape::kSquares; ++s) weights[s] = stage.weight_chunk(first_square + s, g, t);
    XChunk<Shape::kParts> x[Shape::kOctets];
#pragma unroll
    for (int o = 0; o < Shape::kOctets; ++o) {
      float values[8];
      stage.x_values(first_octet + o, g, t, values);
      if constexpr (kNorm) apply_norm_weight(norm_weights, values, segment_squares[o]);
      x[o] = split_values<Shape::kParts>(values);
    }
    add_products(weights, x, segment);
  }
  __device__ void end_segment() {
#pragma unroll
    for (int o = 0; o < Shape::kOctets; ++o) {
      if constexpr (kNorm) squares[o] += sum_over_quad(segment_squares[o]);
#pragma unroll
      for (int s = 0; s < Shape::kSquares; ++s) {
#pragma unroll
        for (int i = 0; i < 4; ++i) total[s][o][i] += segment[s][o].sum(i);
      }
    }
    clear_segment();
  }

 private:
  __device__ void clear_segment() {
#pragma unroll
    for (int o = 0; o < Shape::kOctets; ++o) {
      segment_squares[o] = 0.0f;
#pragma unroll
      for (int s = 0; s < Shape::kSquares; ++s) segment[s][o].clear();
    }
  }
};

// Squares of the two halves of a swiglu take turns.
template <class Shape, bool kNorm, bool kSwiglu>
__device__ void put_many_rows(const ManyTile& tile, const WarpSums<Shape, kNorm>& sums, float inverse_k,
                              int first_square, int first_octet) {
  constexpr int kStep = kSwiglu ? 2 : 1;
  const int g = static_cast<int>(threadIdx.x) % 32 / 4, t = static_cast<int>(threadIdx.x) % 4;
  const LinearTileCall& call = tile.call;
  float bias[Shape::kSquares][2];
#pragma unroll
  for (int s = 0; s < Shape::kSquares; ++s) {
    const int64_t row = square_begin(call, tile.block_column, first_square + s) + g;
    const int64_t num_rows = kSwiglu ? 2 * call.linear.y.width : call.linear.y.width;
#pragma unroll
    for (int i = 0; i < 2; ++i) bias[s][i] = row < num_rows ? bias_of(call, row + i * kOctet) : 0.0f;
  }
#pragma unroll
  for (int o = 0; o < Shape::kOctets; ++o) {
    const float own = kNorm ? norm_factor(sums.squares[o], inverse_k, call.eps) : 1.0f;  // of row g
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const int64_t row = tile.first_row + (first_octet + o) * kOctet + 2 * t + r;
      const float factor = kNorm ? __shfl_sync(0xffffffffu, own, 4 * (2 * t + r)) : 1.0f;
      if (row >= tile.rows) continue;
      float* y = static_cast<float*>(call.linear.y.data) + row * call.linear.y.outer_stride + g;
#pragma unroll
      for (int s = 0; s < Shape::kSquares; s += kStep) {
        const int64_t column = square_begin(call, tile.block_column, first_square + s);
        if (column >= call.linear.y.width) continue;
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          float value = finish_sum(sums.total[s][o][2 * i + r], factor, bias[s][i]);
          if constexpr (kSwiglu)
            value = swiglu_of(value, finish_sum(sums.total[s + 1][o][2 * i + r], factor, bias[s + 1][i]));
          float* to = y + column + i * kOctet;
          *to = call.adds_to_y ? __fadd_rn(*to, value) : value;
        }
      }
    }
  }
}

template <class Shape, bool kNorm>
__global__ void __launch_bounds__(Shape::kThreads) linear_many_tile(LinearTileCall call, Segments segments) {
  static_assert(Shape::kSquares % 2 == 0, "a warp has both halves of a swiglu");
  extern __shared__ __align__(16) unsigned char shared[];
  ManyStage<Shape>* stages = reinterpret_cast<ManyStage<Shape>*>(shared);
  const int64_t columns = call.swiglu ? Shape::kWeightRows / 2 : Shape::kWeightRows;
  ManyTile tile = {call, blockIdx.x * columns, static_cast<int64_t>(blockIdx.y) * Shape::kRows, 0};
  constexpr int kAhead = Shape::kStages - 1;
  ManyCopies<Shape> copies;
  copies.find_weight(tile);
#pragma unroll
  for (int i = 0; i < kAhead; ++i)
    if (i < segments.chunks) copies.load_weight(i, stages[i]);
  tile.rows = live_count(call.linear.live_rows, call.linear.x.outer);
  wait_for_previous_kernel();
  if (tile.first_row >= tile.rows) {
    wait_for_batches<0>();
    return;
  }
  copies.find_x(tile);
#pragma unroll
  for (int i = 0; i < kAhead; ++i) {
    if (i < segments.chunks) copies.load_x(i, stages[i]);
    end_batch();
  }
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int first_square = warp % Shape::kWarpsDown * Shape::kSquares;
  const int first_octet = warp / Shape::kWarpsDown * Shape::kOctets;
  const int norm_column = kOctet * (static_cast<int>(threadIdx.x) % 4);
  WarpSums<Shape, kNorm> sums;
  sums.clear();
  int left = segments.length;  // chunks of the segment
  int stage = 0;
  for (int chunk = 0; chunk < segments.chunks; ++chunk) {
    float norm_weights[8];
    if constexpr (kNorm) load_norm_weight(call, chunk * kChunk + norm_column, norm_weights);
    wait_for_batches<kAhead - 1>();
    __syncthreads();
    const int next = chunk + kAhead;
    if (next < segments.chunks) {
      ManyStage<Shape>& free_stage = stages[stage == 0 ? Shape::kStages - 1 : stage - 1];
      copies.load_weight(next, free_stage);
      copies.load_x(next, free_stage);
    }
    end_batch();
    sums.add(stages[stage], first_square, first_octet, norm_weights);
    stage = stage + 1 == Shape::kStages ? 0 : stage + 1;
    if (--left > 0 && chunk + 1 < segments.chunks) continue;
    sums.end_segment();
    left = segments.length;
  }
  if (call.swiglu) {
    put_many_rows<Shape, kNorm, true>(tile, sums, segments.inverse_k, first_square, first_octet);
  } else {
    put_many_rows<Shape, kNorm, false>(tile, sums, segments.inverse_k, first_square, first_octet);
  }
}

}  // namespace musaic
