#include "ops/linear/linear_q8_gpu.h"
#include "ops/linear/stripes_gpu.cuh"

namespace musaic {
namespace {

constexpr int kThreads = 128;
constexpr int kColumns = kThreads / kStripes;  // of a block of threads
constexpr int kBlockValues = 32;
constexpr int kBlockPackets = kBlockValues / kPacket;
constexpr int kBatch = 3;  // blocks of a lane that are under way at once
constexpr int kSpan = kBatch * kStripes;

// A block of a weight's row: 32 codes less their zero, as signed bytes.
template <DType kType>
struct WeightBlock {
  BlockPacket<kType> packets[kBlockPackets];

  __device__ void load(const uint8_t* row, int block) {
#pragma unroll
    for (int i = 0; i < kBlockPackets; ++i) packets[i].load(row, block * kBlockPackets + i);
  }
  __device__ void signed_codes(int block, int (&out)[2 * kBlockPackets]) const {
    constexpr uint32_t kHighBits = 0x80808080u;
    constexpr uint32_t kZeros = BlockPacket<kType>::kZero * 0x01010101u;
#pragma unroll
    for (int i = 0; i < kBlockPackets; ++i) {
      uint32_t codes[2];
      packets[i].codes(block * kBlockPackets + i, codes);
#pragma unroll
      for (int j = 0; j < 2; ++j) {
        // With the high bit set no byte borrows from the next; zero 128 is that bit itself.
        const uint32_t less = BlockPacket<kType>::kZero == 128 ? codes[j] : (codes[j] | kHighBits) - kZeros;
        out[2 * i + j] = static_cast<int>(less ^ kHighBits);
      }
    }
  }
};

// kSpan blocks of kRows rows of x in shared memory; the halves of a block's q apart, so that eight neighbours
// are read at once.
template <int kRows>
struct SharedQ8 {
  int4 q[kRows][2][kSpan];
  float scale[kRows][kSpan];
  float sums[kRows][kSpan];
};

// Sixteen bytes at any address, or at a multiple of 16.
template <bool kAligned>
__device__ inline int4 load_bytes(const int8_t* from) {
  if (kAligned) return *reinterpret_cast<const int4*>(from);
  int words[4] = {};
  for (int i = 0; i < 16; ++i)
    words[i / 4] |= static_cast<int>(static_cast<uint32_t>(static_cast<uint8_t>(from[i])) << (8 * (i % 4)));
  return make_int4(words[0], words[1], words[2], words[3]);
}

// Blocks [first, first + kSpan) as far as there are any.
template <int kRows, bool kAligned>
__device__ void fill(const LinearQ8Call& call, int64_t first_row, int rows, int first, int num_blocks,
                     SharedQ8<kRows>& shared) {
  const int count = min(kSpan, num_blocks - first);
  for (int i = threadIdx.x; i < rows * count; i += kThreads) {
    const int row = i / count, block = i % count;
    const int8_t* q = row_of<const int8_t>(call.q, first_row + row) + (first + block) * kBlockValues;
    shared.q[row][0][block] = load_bytes<kAligned>(q);
    shared.q[row][1][block] = load_bytes<kAligned>(q + 16);
    shared.scale[row][block] = row_of<const float>(call.scale, first_row + row)[first + block];
    shared.sums[row][block] = row_of<const float>(call.sums, first_row + row)[first + block];
  }
}

__device__ inline int dot16(const int4& q, const int* codes) {
  return __dp4a(q.w, codes[3], __dp4a(q.z, codes[2], __dp4a(q.y, codes[1], __dp4a(q.x, codes[0], 0))));
}

// sum + (block of the weight) · (block of x)
template <DType kType, int kRows>
__device__ inline float add_block(const WeightBlock<kType>& weight, const int (&codes)[2 * kBlockPackets],
                                  int number, const SharedQ8<kRows>& x, int row, int block, float sum) {
  const int low = dot16(x.q[row][0][block], codes);
  const int high = dot16(x.q[row][1][block], codes + 4);
  const float x_scale = x.scale[row][block];
  const int packet = number * kBlockPackets;
  if constexpr (kType == DType::kQ6_K) {
    sum = fmaf(weight.packets[0].scale(packet) * x_scale, static_cast<float>(low), sum);
    return fmaf(weight.packets[2].scale(packet + 2) * x_scale, static_cast<float>(high), sum);
  }
  sum = fmaf(weight.packets[0].scale(packet) * x_scale, static_cast<float>(low + high), sum);
  if constexpr (BlockPacket<kType>::kHasMin)
    sum = fmaf(weight.packets[0].offset(packet), x.sums[row][block], sum);
  return sum;
}

// Eight neighbouring lanes hold the stripes of one column of y, kRows rows of it.
template <DType kType, int kRows, bool kAligned>
__global__ void __launch_bounds__(kThreads) linear_q8_rows(LinearQ8Call call) {
  __shared__ SharedQ8<kRows> shared;
  const int stripe = static_cast<int>(threadIdx.x) % kStripes;
  const int64_t column = static_cast<int64_t>(blockIdx.x) * kColumns + threadIdx.x / kStripes;
  const bool is_column = column < call.y.width;
  const uint8_t* weight_row = call.weight + (is_column ? column : call.y.width - 1) * call.weight_row_bytes;
  const int num_blocks = static_cast<int>(call.q.width / kBlockValues);
  WeightBlock<kType> batch[kBatch];
  if (num_blocks > 0) {
#pragma unroll
    for (int i = 0; i < kBatch; ++i) batch[i].load(weight_row, min(i * kStripes + stripe, num_blocks - 1));
  }
  wait_for_previous_kernel();
  const int64_t live = live_count(call.live_rows, call.q.outer);
  const int64_t first_row = static_cast<int64_t>(blockIdx.y) * kRows;
  if (first_row >= live) return;
  const int rows = static_cast<int>(min(static_cast<int64_t>(kRows), live - first_row));

  float sums[kRows] = {};
  for (int first = 0; first < num_blocks; first += kSpan) {
    if (first > 0) {
#pragma unroll
      for (int i = 0; i < kBatch; ++i)
        batch[i].load(weight_row, min(first + i * kStripes + stripe, num_blocks - 1));
      __syncthreads();
    }
    fill<kRows, kAligned>(call, first_row, rows, first, num_blocks, shared);
    __syncthreads();
#pragma unroll
    for (int i = 0; i < kBatch; ++i) {
      const int block = i * kStripes + stripe;
      if (first + block >= num_blocks) break;
      int codes[2 * kBlockPackets];
      batch[i].signed_codes(first + block, codes);
#pragma unroll
      for (int row = 0; row < kRows; ++row) {
        if (row < rows) sums[row] = add_block(batch[i], codes, first + block, shared, row, block, sums[row]);
      }
    }
  }
#pragma unroll
  for (int row = 0; row < kRows; ++row) {
    float sum = sum_over_lanes(sums[row]);
    if (row % kStripes != stripe || row >= rows || !is_column) continue;
    if (call.bias != nullptr) sum += bias_value(call.bias, call.bias_dtype, column);
    row_of<float>(call.y, first_row + row)[column] = sum;
  }
}

template <DType kType, int kRows, bool kAligned>
void launch_rows(const LinearQ8Call& call, gpuStream_t stream) {
  const dim3 grid(static_cast<unsigned>((call.y.width + kColumns - 1) / kColumns),
                  static_cast<unsigned>((call.q.outer + kRows - 1) / kRows));
  launch_kernel(linear_q8_rows<kType, kRows, kAligned>, grid, kThreads, stream, call);
}

template <DType kType>
void launch_type(const LinearQ8Call& call, gpuStream_t stream) {
  const bool is_aligned = reinterpret_cast<uintptr_t>(call.q.data) % 16 == 0 && call.q.outer_stride % 16 == 0;
  if (!is_aligned) return launch_rows<kType, 4, false>(call, stream);
  if (call.q.outer == 1) return launch_rows<kType, 1, true>(call, stream);
  if (call.q.outer <= 4) return launch_rows<kType, 4, true>(call, stream);
  launch_rows<kType, 16, true>(call, stream);
}

}  // namespace

void launch_linear_q8(const LinearQ8Call& call, gpuStream_t stream) {
  with_weight_type(call.weight_dtype, [&](auto weight) {
    constexpr DType kType = decltype(weight)::value;
    if constexpr (!kIsFloatType<kType>) launch_type<kType>(call, stream);
  });
}

}  // namespace musaic
