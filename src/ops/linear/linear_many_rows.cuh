#pragma once

#include "ops/linear/stripes_gpu.cuh"

// y = x · weightᵀ for many rows, by tiles of y: each of a block's eight warps sums one stripe of the whole
// tile.
namespace musaic {

inline constexpr int kTileThreads = 32 * kStripes;
inline constexpr int kTileColumns = 32;

// A lane has kLaneRows × kLaneColumns values of the tile, in squares of 4 × 4. A step over k has kPackets
// packets of each stripe.
template <int kTileRows_, int kLaneRows_, int kLaneColumns_, int kPackets_>
struct TileShape {
  static constexpr int kTileRows = kTileRows_;
  static constexpr int kLaneRows = kLaneRows_;
  static constexpr int kLaneColumns = kLaneColumns_;
  static constexpr int kPackets = kPackets_;
  static constexpr int kColumnLanes = kTileColumns / kLaneColumns;
  static constexpr int kRowLanes = 32 / kColumnLanes;
  static constexpr int kStep = kPackets * kStripes * kPacket;  // values of k
  static constexpr int kXStride = kTileRows + 4;               // 4: rows begin at other banks
  static constexpr int kWeightStride = kTileColumns + 4;
  static constexpr int kXQuads = kTileRows * kStep / 4 / kTileThreads;  // float4s of x that a thread brings
  static constexpr int kPassRows = 4 * kRowLanes;  // of the tile that are summed over stripes at once
  static constexpr int kInputFloats = kStep * (kXStride + kWeightStride);
  static constexpr int kSumFloats = kStripes * kPassRows * kWeightStride;
  static constexpr int kSharedFloats = kInputFloats > kSumFloats ? kInputFloats : kSumFloats;
  static_assert(kRowLanes * kLaneRows == kTileRows, "lanes cover the tile");
  static_assert(kSharedFloats * sizeof(float) <= 48 << 10, "shared memory that needs no permission");
};

// What a thread brings of one step: four-value pieces of a row of x, packets of a column of the weight.
template <DType kType, class Shape>
struct StepInput {
  float4 x[Shape::kXQuads];
  WeightPacket<kType> weight[Shape::kPackets];
  int first_packet;  // of the step
  int num_packets;

  // Behind the end of k: x is 0, the last packet of the weight is taken again.
  __device__ void load_weight(const uint8_t* weight_row, int first) {
    first_packet = first;
#pragma unroll
    for (int i = 0; i < Shape::kPackets; ++i) weight[i].load(weight_row, packet(i));
  }
  __device__ void load_x(const float* x_row, int first) {
    const int quad = static_cast<int>(threadIdx.x) / Shape::kTileRows * Shape::kXQuads;
    static_assert(kTileThreads / Shape::kTileRows * Shape::kXQuads == Shape::kStep / 4, "threads cover it");
#pragma unroll
    for (int i = 0; i < Shape::kXQuads; ++i) {
      const int at = 2 * first + quad + i;
      x[i] = at < 2 * num_packets ? reinterpret_cast<const float4*>(x_row)[at] : make_float4(0, 0, 0, 0);
    }
  }
  __device__ int packet(int i) const {
    const int wanted = first_packet + i * kStripes + static_cast<int>(threadIdx.x) / 32;
    return wanted < num_packets ? wanted : num_packets - 1;
  }
  // xs [kStep, kXStride], ws [kStep, kWeightStride]
  __device__ void store(float* xs, float* ws) const {
    const int row = static_cast<int>(threadIdx.x) % Shape::kTileRows;
    const int quad = static_cast<int>(threadIdx.x) / Shape::kTileRows * Shape::kXQuads;
#pragma unroll
    for (int i = 0; i < Shape::kXQuads; ++i) {
      float* to = xs + 4 * (quad + i) * Shape::kXStride + row;
      to[0] = x[i].x;
      to[Shape::kXStride] = x[i].y;
      to[2 * Shape::kXStride] = x[i].z;
      to[3 * Shape::kXStride] = x[i].w;
    }
    const int column = static_cast<int>(threadIdx.x) % 32;
    const int stripe = static_cast<int>(threadIdx.x) / 32;
#pragma unroll
    for (int i = 0; i < Shape::kPackets; ++i) {
      const bool is_inside = first_packet + i * kStripes + stripe < num_packets;
      float values[kPacket];
      weight[i].values(packet(i), values);
#pragma unroll
      for (int j = 0; j < kPacket; ++j)
        ws[((i * kStripes + stripe) * kPacket + j) * Shape::kWeightStride + column] =
            is_inside ? values[j] : 0.0f;
    }
  }
};

__device__ inline void load_four(const float* from, float* to) {
  const float4 values = *reinterpret_cast<const float4*>(from);
  to[0] = values.x, to[1] = values.y, to[2] = values.z, to[3] = values.w;
}

// One lane's part of the tile, of its warp's stripe.
template <class Shape>
struct LaneSums {
  float sums[Shape::kLaneRows][Shape::kLaneColumns];

  __device__ void clear() {
#pragma unroll
    for (int r = 0; r < Shape::kLaneRows; ++r) {
#pragma unroll
      for (int c = 0; c < Shape::kLaneColumns; ++c) sums[r][c] = 0.0f;
    }
  }
  // The places of its first square; others follow kPassRows rows and 4 · kColumnLanes columns on.
  static __device__ int row() {
    return static_cast<int>(threadIdx.x) % 32 / Shape::kColumnLanes * 4;
  }
  static __device__ int column() {
    return static_cast<int>(threadIdx.x) % Shape::kColumnLanes * 4;
  }

  __device__ void add_step(const float* xs, const float* ws) {
    const int stripe = static_cast<int>(threadIdx.x) / 32;
#pragma unroll
    for (int packet = 0; packet < Shape::kPackets; ++packet) {
#pragma unroll
      for (int i = 0; i < kPacket; ++i) {
        const int k = (packet * kStripes + stripe) * kPacket + i;
        float x[Shape::kLaneRows], w[Shape::kLaneColumns];
#pragma unroll
        for (int r = 0; r < Shape::kLaneRows; r += 4)
          load_four(xs + k * Shape::kXStride + row() + r / 4 * Shape::kPassRows, x + r);
#pragma unroll
        for (int c = 0; c < Shape::kLaneColumns; c += 4)
          load_four(ws + k * Shape::kWeightStride + column() + c * Shape::kColumnLanes, w + c);
#pragma unroll
        for (int r = 0; r < Shape::kLaneRows; ++r) {
#pragma unroll
          for (int c = 0; c < Shape::kLaneColumns; ++c) sums[r][c] = fmaf(x[r], w[c], sums[r][c]);
        }
      }
    }
  }
  // Squares number `pass` from above, into [kStripes, kPassRows, kWeightStride].
  __device__ void put(int pass, float* shared) const {
    float* to = shared + static_cast<int>(threadIdx.x) / 32 * Shape::kPassRows * Shape::kWeightStride;
#pragma unroll
    for (int r = 0; r < 4; ++r) {
#pragma unroll
      for (int c = 0; c < Shape::kLaneColumns; c += 4) {
        const float(&four)[Shape::kLaneColumns] = sums[4 * pass + r];
        *reinterpret_cast<float4*>(to + (row() + r) * Shape::kWeightStride + column() +
                                   c * Shape::kColumnLanes) =
            make_float4(four[c], four[c + 1], four[c + 2], four[c + 3]);
      }
    }
  }
};

// Four neighbouring values of y: rows [first_row, first_row + kPassRows) of y from the stripes' sums.
template <class Shape>
__device__ inline void write_sums(const LinearCall& call, const float* shared, int64_t first_row,
                                  int64_t rows, int64_t first_column) {
  const int row = static_cast<int>(threadIdx.x) / (kTileColumns / 4);
  const int column = static_cast<int>(threadIdx.x) % (kTileColumns / 4) * 4;
  if (row >= Shape::kPassRows || first_row + row >= rows) return;
  float stripes[4][kStripes];
#pragma unroll
  for (int s = 0; s < kStripes; ++s) {
    float four[4];
    load_four(shared + (s * Shape::kPassRows + row) * Shape::kWeightStride + column, four);
#pragma unroll
    for (int i = 0; i < 4; ++i) stripes[i][s] = four[i];
  }
  float* y = static_cast<float*>(call.y.data) + (first_row + row) * call.y.outer_stride;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int64_t at = first_column + column + i;
    if (at >= call.y.width) return;
    float sum = sum_of_stripes(stripes[i]);
    if (call.bias != nullptr) sum += bias_value(call.bias, call.bias_dtype, at);
    y[at] = sum;
  }
}

// REQUIRES: k is a multiple of 8, rows of x and weight begin at multiples of 16 bytes.
template <DType kType, class Shape>
__global__ void __launch_bounds__(kTileThreads, 2) linear_many_rows(LinearCall call) {
  __shared__ __align__(16) float shared[Shape::kSharedFloats];
  const int64_t first_column = static_cast<int64_t>(blockIdx.x) * kTileColumns;
  const int64_t my_column = min(first_column + static_cast<int>(threadIdx.x) % 32, call.y.width - 1);
  const uint8_t* weight_row = call.weight + my_column * call.weight_row_bytes;
  StepInput<kType, Shape> input;
  input.num_packets = static_cast<int>(call.x.width / kPacket);
  if (input.num_packets > 0) input.load_weight(weight_row, 0);
  wait_for_previous_kernel();
  const int64_t rows = live_count(call.live_rows, call.x.outer);
  const int64_t first_row = static_cast<int64_t>(blockIdx.y) * Shape::kTileRows;
  if (first_row >= rows) return;
  const int64_t my_row = min(first_row + static_cast<int>(threadIdx.x) % Shape::kTileRows, rows - 1);
  const float* x_row = static_cast<const float*>(call.x.data) + my_row * call.x.outer_stride;
  float* xs = shared;
  float* ws = shared + Shape::kStep * Shape::kXStride;

  LaneSums<Shape> lane;
  lane.clear();
  constexpr int kStepPackets = Shape::kStep / kPacket;
  input.load_x(x_row, 0);
  for (int first = 0; first < input.num_packets; first += kStepPackets) {
    input.store(xs, ws);
    __syncthreads();
    if (first + kStepPackets < input.num_packets) {
      input.load_weight(weight_row, first + kStepPackets);
      input.load_x(x_row, first + kStepPackets);
    }
    lane.add_step(xs, ws);
    __syncthreads();
  }
#pragma unroll
  for (int pass = 0; pass < Shape::kLaneRows / 4; ++pass) {
    lane.put(pass, shared);
    __syncthreads();
    write_sums<Shape>(call, shared, first_row + pass * Shape::kPassRows, rows, first_column);
    __syncthreads();
  }
}

}  // namespace musaic
