#include "gpu_launch.cuh"
#include "ops/mla_attention/matrix_factor.cuh"
#include "ops/mla_project/mla_project_gpu.h"

// Projections by matrix units at DeepSeek's sizes. A block has sixteen rows and a slice of one head's
// results; each of its four warps a quarter of the sum, which is added up in the order of the warps. Rows are
// split into two factors, kv_b is exact and read before the rows are there. Lane 4g + t as in gpu_matrix.cuh.
namespace musaic {
namespace {

constexpr int kWarps = 4;
constexpr int kThreads = 32 * kWarps;
constexpr int kRows = 16;
constexpr int kSlices = 8;   // of a head's results
constexpr int kBlock = 128;  // of kv_b's scales
constexpr int kRank = 512, kKeyRows = 128, kHeadRows = 256;
constexpr int kAbsorbColumns = kRank / kSlices;
constexpr int kExpandColumns = 128 / kSlices;

template <DType kType>
__device__ float block_scale(const KvBGpu& kv_b, int row_block, int column_block) {
  return kType == DType::kF8E4M3 ? kv_b.scale[row_block * kv_b.scale_columns + column_block] : 1.0f;
}

// The left factor of one product, in parts: values[row half][pair][2] of the lane.
template <class Factor>
__device__ void split_left(const float (&values)[2][2][2], uint32_t (&words)[kFactorParts][4]) {
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    uint32_t parts[kFactorParts];
    split_pair<Factor>(values[i % 2][i / 2][0], values[i % 2][i / 2][1], parts);
    words[0][i] = parts[0];
    words[1][i] = parts[1];
  }
}

// Products that are to be ordered.
template <class Factor>
__device__ void add_parts(float (&sum)[4], const uint32_t (&left)[kFactorParts][4],
                          const uint32_t (&right)[2]) {
  Factor::Product::add_unordered(sum, left[1], right);
  Factor::Product::add_unordered(sum, left[0], right);
}

// Four key rows of one product in eight columns a lane.
template <DType kType>
struct KeyRows {
  KvBPacket<kType> rows[4];

  __device__ void load(const KvBGpu& kv_b, int64_t first_row, int column, int t) {
#pragma unroll
    for (int i = 0; i < 4; ++i)
      rows[i].load(kv_b.data, (first_row + 2 * t + i % 2 + i / 2 * 8) * kRank + column);
  }
  __device__ void words(uint32_t (&out)[4][4]) const {
#pragma unroll
    for (int i = 0; i < 4; ++i) rows[i].words(out[i]);
  }
};

template <DType kType>
__global__ void __launch_bounds__(kThreads) absorb_matrix(MlaProjectCall call) {
  using Factor = typename KvBPacket<kType>::Factor;
  constexpr int kSteps = kKeyRows / kWarps / 16;
  __shared__ float sums[kWarps][kRows][kAbsorbColumns + 4];
  const MatrixLane lane;
  const int head = static_cast<int>(blockIdx.x) / kSlices, slice = static_cast<int>(blockIdx.x) % kSlices;
  KeyRows<kType> keys[kSteps];
#pragma unroll
  for (int s = 0; s < kSteps; ++s)
    keys[s].load(call.kv_b, head * kHeadRows + (lane.warp * kSteps + s) * 16,
                 slice * kAbsorbColumns + 8 * lane.g, lane.t);
  const float scale = block_scale<kType>(call.kv_b, 2 * head, slice * kAbsorbColumns / kBlock);
  const int64_t live = live_count(call.live_rows, call.rows.outer);
  wait_for_previous_kernel();
  const int64_t first_row = static_cast<int64_t>(blockIdx.y) * kRows;
  if (first_row >= live) return;
  const int64_t head_dim = call.rows.width / call.heads;
  const float* query = static_cast<const float*>(call.rows.data) + head * head_dim;

  float products[8][4] = {};
  float values[kSteps][2][2][2] = {};
#pragma unroll
  for (int s = 0; s < kSteps; ++s) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int64_t row = first_row + lane.g + i % 2 * 8;
      if (row >= live) continue;
      const float2 pair = *reinterpret_cast<const float2*>(
          query + row * call.rows.outer_stride + (lane.warp * kSteps + s) * 16 + 2 * lane.t + i / 2 * 8);
      values[s][i % 2][i / 2][0] = pair.x, values[s][i % 2][i / 2][1] = pair.y;
    }
  }
#pragma unroll
  for (int s = 0; s < kSteps; ++s) {
    uint32_t left[kFactorParts][4], words[4][4];
    split_left<Factor>(values[s], left);
    keys[s].words(words);
#pragma unroll
    for (int i = 0; i < 8; i += 2) {
      const uint32_t even[2] = {lower_halves(words[0][i / 2], words[1][i / 2]),
                                lower_halves(words[2][i / 2], words[3][i / 2])};
      const uint32_t odd[2] = {upper_halves(words[0][i / 2], words[1][i / 2]),
                               upper_halves(words[2][i / 2], words[3][i / 2])};
      add_parts<Factor>(products[i], left, even);
      add_parts<Factor>(products[i + 1], left, odd);
    }
  }
  // Column c of product i is column 8c + i of the slice.
#pragma unroll
  for (int i = 0; i < 8; ++i) Factor::Product::order(products[i]);
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    float* to = &sums[lane.warp][lane.g + i / 2 * 8][16 * lane.t + i % 2 * 8];
#pragma unroll
    for (int p = 0; p < 8; ++p) to[p] = products[p][i];
  }
  __syncthreads();

  const int row = static_cast<int>(threadIdx.x) / 8, part = static_cast<int>(threadIdx.x) % 8;
  if (first_row + row >= live) return;
  const int64_t width = call.out.width / call.heads;
  float* out = static_cast<float*>(call.out.data) + (first_row + row) * call.out.outer_stride + head * width;
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    const int column = part * 8 + i;
    float sum = sums[0][row][column];
#pragma unroll
    for (int w = 1; w < kWarps; ++w) sum += sums[w][row][column];
    out[slice * kAbsorbColumns + column] = sum * scale;
  }
  const float* rotated = query + (first_row + row) * call.rows.outer_stride + kKeyRows;
  for (int i = slice * 8 + part; i < width - kRank; i += 8 * kSlices) out[kRank + i] = rotated[i];
}

template <DType kType>
__global__ void __launch_bounds__(kThreads) expand_matrix(MlaProjectCall call) {
  using Factor = typename KvBPacket<kType>::Factor;
  constexpr int kChunk = 64;  // of the sum, sixteen values a lane
  constexpr int kChunks = kRank / kWarps / kChunk;
  __shared__ float sums[kWarps][kRows][kExpandColumns + 4];
  const MatrixLane lane;
  const int head = static_cast<int>(blockIdx.x) / kSlices, slice = static_cast<int>(blockIdx.x) % kSlices;
  const int first_k = lane.warp * kChunks * kChunk + 16 * lane.t;
  // Column c of product i is column 2c + i of the slice.
  KvBPacket<kType> weight[kChunks][2][2];
#pragma unroll
  for (int c = 0; c < kChunks; ++c) {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const int64_t kv_row = head * kHeadRows + kKeyRows + slice * kExpandColumns + 2 * lane.g + i;
      weight[c][i][0].load(call.kv_b.data, kv_row * kRank + first_k + c * kChunk);
      weight[c][i][1].load(call.kv_b.data, kv_row * kRank + first_k + c * kChunk + 8);
    }
  }
  const float scale = block_scale<kType>(call.kv_b, 2 * head + 1, lane.warp);
  const int64_t live = live_count(call.live_rows, call.rows.outer);
  wait_for_previous_kernel();
  const int64_t first_row = static_cast<int64_t>(blockIdx.y) * kRows;
  if (first_row >= live) return;
  const float* attended = static_cast<const float*>(call.rows.data) + head * kRank + first_k;

  float4 values[kChunks][4][2];
#pragma unroll
  for (int c = 0; c < kChunks; ++c) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int64_t row = first_row + lane.g + half * 8;
      const float* from = attended + row * call.rows.outer_stride + c * kChunk;
#pragma unroll
      for (int s = 0; s < 4; ++s)
        values[c][s][half] =
            row < live ? reinterpret_cast<const float4*>(from)[s] : make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    }
  }
  float products[2][4] = {};
#pragma unroll
  for (int c = 0; c < kChunks; ++c) {
    uint32_t words[2][2][4];
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      weight[c][i][0].words(words[i][0]);
      weight[c][i][1].words(words[i][1]);
    }
#pragma unroll
    for (int s = 0; s < 4; ++s) {
      const float4 upper = values[c][s][0], lower = values[c][s][1];
      const float pairs[2][2][2] = {{{upper.x, upper.y}, {upper.z, upper.w}},
                                    {{lower.x, lower.y}, {lower.z, lower.w}}};
      uint32_t left[kFactorParts][4];
      split_left<Factor>(pairs, left);
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const uint32_t right[2] = {words[i][s / 2][s % 2 * 2], words[i][s / 2][s % 2 * 2 + 1]};
        add_parts<Factor>(products[i], left, right);
      }
    }
  }
#pragma unroll
  for (int i = 0; i < 2; ++i) Factor::Product::order(products[i]);
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    float* to = &sums[lane.warp][lane.g + i / 2 * 8][4 * lane.t + i % 2 * 2];
    to[0] = products[0][i] * scale;
    to[1] = products[1][i] * scale;
  }
  __syncthreads();

  const int row = static_cast<int>(threadIdx.x) / 8, column = static_cast<int>(threadIdx.x) % 8 * 2;
  if (first_row + row >= live) return;
  float* out = static_cast<float*>(call.out.data) + (first_row + row) * call.out.outer_stride +
               head * kKeyRows + slice * kExpandColumns + column;
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    float sum = sums[0][row][column + i];
#pragma unroll
    for (int w = 1; w < kWarps; ++w) sum += sums[w][row][column + i];
    out[i] = sum;
  }
}

dim3 grid_of(const MlaProjectCall& call) {
  return dim3(static_cast<unsigned>(call.heads * kSlices),
              static_cast<unsigned>((call.rows.outer + kRows - 1) / kRows));
}

}  // namespace

void launch_absorb_matrix(const MlaProjectCall& call, gpuStream_t stream) {
  const auto kernel =
      call.kv_b.dtype == DType::kF8E4M3 ? absorb_matrix<DType::kF8E4M3> : absorb_matrix<DType::kBF16>;
  launch_kernel(kernel, grid_of(call), kThreads, stream, call);
}

void launch_expand_matrix(const MlaProjectCall& call, gpuStream_t stream) {
  const auto kernel =
      call.kv_b.dtype == DType::kF8E4M3 ? expand_matrix<DType::kF8E4M3> : expand_matrix<DType::kBF16>;
  launch_kernel(kernel, grid_of(call), kThreads, stream, call);
}

}  // namespace musaic
