#pragma once

#include "ops/linear/stripes_gpu.cuh"

// y = x · weightᵀ for few rows: eight neighbouring lanes hold the stripes of one column of y, all its rows.
namespace musaic {

inline constexpr int kFewRowsThreads = 128;
inline constexpr int kFewRowsColumns = kFewRowsThreads / kStripes;  // of a block

__device__ inline float add_products(const float (&x)[kPacket], const float (&weight)[kPacket], float sum) {
#pragma unroll
  for (int i = 0; i < kPacket; ++i) sum = fmaf(x[i], weight[i], sum);
  return sum;
}

// Some packets of kRows rows of x in shared memory: the first halves of all, then the second, so that eight
// neighbours are read at once.
template <int kRows, int kPackets>
struct SharedX {
  float4 quads[kRows][2][kPackets];

  // Packets [first, first + kPackets) as far as there are any.
  __device__ void fill(const float* const (&x)[kRows], int first, int num_packets) {
    const int count = 2 * min(kPackets, num_packets - first);
#pragma unroll
    for (int row = 0; row < kRows; ++row) {
      const float4* from = reinterpret_cast<const float4*>(x[row]) + 2 * static_cast<int64_t>(first);
      for (int i = threadIdx.x; i < count; i += kFewRowsThreads) quads[row][i % 2][i / 2] = from[i];
    }
  }
  __device__ void read(int row, int packet, float (&out)[kPacket]) const {
    const float4 low = quads[row][0][packet], high = quads[row][1][packet];
    out[0] = low.x, out[1] = low.y, out[2] = low.z, out[3] = low.w;
    out[4] = high.x, out[5] = high.y, out[6] = high.z, out[7] = high.w;
  }
};

// Packets of one lane's stripe that are under way at once. Behind the end the last one is read again.
template <DType kType, int kBatch>
struct PacketBatch {
  static constexpr int kSpan = kBatch * kStripes;  // packets of all stripes
  WeightPacket<kType> packets[kBatch];

  __device__ void load(const uint8_t* weight, int first, int num_packets) {
#pragma unroll
    for (int i = 0; i < kBatch; ++i) packets[i].load(weight, min(first + i * kStripes, num_packets - 1));
  }
};

// Sums of one lane's stripe; `batch` has its first packets. REQUIRES: every thread of the block takes part.
template <DType kType, int kRows, int kBatch>
__device__ inline void sum_stripe(const uint8_t* weight, const float* const (&x)[kRows], int num_packets,
                                  int stripe, PacketBatch<kType, kBatch>& batch, float (&sums)[kRows]) {
  constexpr int kSpan = PacketBatch<kType, kBatch>::kSpan;
  __shared__ SharedX<kRows, kSpan> shared_x;
  for (int first = 0; first < num_packets; first += kSpan) {
    if (first > 0) {
      batch.load(weight, first + stripe, num_packets);
      __syncthreads();
    }
    shared_x.fill(x, first, num_packets);
    __syncthreads();
#pragma unroll
    for (int i = 0; i < kBatch; ++i) {
      const int packet = first + i * kStripes + stripe;
      float values[kPacket];
      batch.packets[i].values(min(packet, num_packets - 1), values);
#pragma unroll
      for (int row = 0; row < kRows; ++row) {
        float x_values[kPacket];
        shared_x.read(row, i * kStripes + stripe, x_values);
        const float sum = add_products(x_values, values, sums[row]);
        sums[row] = packet < num_packets ? sum : sums[row];
      }
    }
  }
}

// The same at any address and width.
template <DType kType, int kRows>
__device__ inline void sum_loose_stripe(const uint8_t* weight, const float* const (&x)[kRows], int64_t width,
                                        int stripe, float (&sums)[kRows]) {
  for (int packet = stripe; static_cast<int64_t>(packet) * kPacket < width; packet += kStripes) {
    float values[kPacket];
    if constexpr (kIsFloatType<kType>) {
      load_part<kType>(weight, packet, width, values);
    } else {
      WeightPacket<kType> weights;
      weights.load(weight, packet);
      weights.values(packet, values);
    }
    for (int row = 0; row < kRows; ++row) {
      float x_values[kPacket];
      load_part<DType::kF32>(reinterpret_cast<const uint8_t*>(x[row]), packet, width, x_values);
      sums[row] = add_products(x_values, values, sums[row]);
    }
  }
}

// kBatch 0: at any address and width.
template <DType kType, int kRows, int kBatch>
__global__ void __launch_bounds__(kFewRowsThreads) linear_few_rows(LinearCall call) {
  static_assert(kRows <= kStripes, "a lane writes one row");
  const int stripe = static_cast<int>(threadIdx.x) % kStripes;
  const int64_t column = static_cast<int64_t>(blockIdx.x) * kFewRowsColumns + threadIdx.x / kStripes;
  const bool is_column = column < call.y.width;
  const uint8_t* weight = call.weight + (is_column ? column : call.y.width - 1) * call.weight_row_bytes;
  const int num_packets = static_cast<int>(call.x.width / kPacket);
  PacketBatch<kType, kBatch == 0 ? 1 : kBatch> batch;
  if (kBatch > 0 && num_packets > 0) batch.load(weight, stripe, num_packets);
  wait_for_previous_kernel();
  const int64_t rows = live_count(call.live_rows, call.x.outer);
  const int64_t first_row = static_cast<int64_t>(blockIdx.y) * kRows;
  if (first_row >= rows) return;
  const float* x[kRows];
  float sums[kRows];
#pragma unroll
  for (int row = 0; row < kRows; ++row) {
    const int64_t live = first_row + row < rows ? first_row + row : rows - 1;
    x[row] = static_cast<const float*>(call.x.data) + live * call.x.outer_stride;
    sums[row] = 0.0f;
  }
  if constexpr (kBatch == 0) {
    sum_loose_stripe<kType>(weight, x, call.x.width, stripe, sums);
  } else {
    sum_stripe<kType, kRows, kBatch>(weight, x, num_packets, stripe, batch, sums);
  }
  float mine = 0.0f;
#pragma unroll
  for (int row = 0; row < kRows; ++row) {
    const float sum = sum_over_lanes(sums[row]);
    if (row == stripe) mine = sum;
  }
  if (!is_column || stripe >= kRows || first_row + stripe >= rows) return;
  if (call.bias != nullptr) mine += bias_value(call.bias, call.bias_dtype, column);
  static_cast<float*>(call.y.data)[(first_row + stripe) * call.y.outer_stride + column] = mine;
}

}  // namespace musaic
