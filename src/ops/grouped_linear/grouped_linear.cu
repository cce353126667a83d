#include "ops/grouped_linear/grouped_linear_gpu.h"
#include "ops/linear/linear_few_rows.cuh"

namespace musaic {
namespace {

__device__ const float* x_row(const GroupedLinearCall& call, int64_t row) {
  return call.x + (call.row_token == nullptr ? row : call.row_token[row]) * call.x_stride;
}

// A block's columns of one expert's rows, kRows at a time. kBatch 0: at any address and width.
template <DType kType, int kRows, int kBatch>
__global__ void __launch_bounds__(kFewRowsThreads) grouped_linear_rows(GroupedLinearCall call) {
  static_assert(kRows <= kStripes, "a lane writes one row");
  wait_for_previous_kernel();
  const int64_t expert = blockIdx.y;
  const int rows = call.count[expert], start = call.start[expert];
  const int stripe = static_cast<int>(threadIdx.x) % kStripes;
  const int64_t column = static_cast<int64_t>(blockIdx.x) * kFewRowsColumns + threadIdx.x / kStripes;
  const bool is_column = column < call.n;
  const int64_t row_bytes = call.k * (kType == DType::kF32 ? 4 : 2);
  const uint8_t* weight = call.weight + (expert * call.n + (is_column ? column : call.n - 1)) * row_bytes;
  const int num_packets = static_cast<int>(call.k / kPacket);
  for (int first = 0; first < rows; first += kRows) {
    const float* x[kRows];
    float sums[kRows];
#pragma unroll
    for (int row = 0; row < kRows; ++row) {
      x[row] = x_row(call, start + (first + row < rows ? first + row : rows - 1));
      sums[row] = 0.0f;
    }
    if constexpr (kBatch == 0) {
      sum_loose_stripe<kType>(weight, x, call.k, stripe, sums);
    } else {
      PacketBatch<kType, kBatch> batch;
      if (num_packets > 0) batch.load(weight, stripe, num_packets);
      sum_stripe<kType, kRows, kBatch>(weight, x, num_packets, stripe, batch, sums);
      __syncthreads();
    }
    float mine = 0.0f;
#pragma unroll
    for (int row = 0; row < kRows; ++row) {
      const float sum = sum_over_lanes(sums[row]);
      if (row == stripe) mine = sum;
    }
    if (is_column && stripe < kRows && first + stripe < rows)
      call.y[(start + first + stripe) * call.n + column] = mine;
  }
}

bool is_aligned(const GroupedLinearCall& call) {
  const auto lies_at = [](const void* address) { return reinterpret_cast<uintptr_t>(address) % 16 == 0; };
  return call.k % kPacket == 0 && call.x_stride % 4 == 0 && lies_at(call.x) && lies_at(call.weight);
}

template <DType kType>
void launch_type(const GroupedLinearCall& call, dim3 grid, gpuStream_t stream) {
  constexpr int64_t kFew = 4;
  if (!is_aligned(call))
    return launch_kernel(grouped_linear_rows<kType, 4, 0>, grid, kFewRowsThreads, stream, call);
  if (call.rows <= kFew * call.num_experts)
    return launch_kernel(grouped_linear_rows<kType, 4, 8>, grid, kFewRowsThreads, stream, call);
  launch_kernel(grouped_linear_rows<kType, 8, 8>, grid, kFewRowsThreads, stream, call);
}

}  // namespace

void launch_grouped_linear(const GroupedLinearCall& call, gpuStream_t stream) {
  if (call.rows == 0) return;
  const dim3 grid(static_cast<unsigned>((call.n + kFewRowsColumns - 1) / kFewRowsColumns),
                  static_cast<unsigned>(call.num_experts));
  if (call.weight_dtype == DType::kF16) return launch_type<DType::kF16>(call, grid, stream);
  if (call.weight_dtype == DType::kBF16) return launch_type<DType::kBF16>(call, grid, stream);
  launch_type<DType::kF32>(call, grid, stream);
}

}  // namespace musaic
