#include "gpu_launch.cuh"
#include "ops/grouped_swiglu/grouped_swiglu_gpu.h"
#include "ops/per_token_group_quant/group_of_128_gpu.cuh"
#include "ops/swiglu/silu_gpu.cuh"

namespace musaic {
namespace {

constexpr int N = kPackWidth<float>;

// Whether the row belongs to an expert. REQUIRES: whole warps ask for one row.
__device__ bool has_expert(const GroupedSwigluCall& call, int64_t row) {
  bool mine = false;
  for (int e = static_cast<int>(threadIdx.x) % kWarpSize; e < call.num_experts; e += kWarpSize) {
    const int64_t index = row - call.start[e];
    mine = mine || (index >= 0 && index < call.count[e]);
  }
  return __any_sync(0xffffffffu, mine) != 0;
}

// silu(gate) · up of a pack; zeros behind the row's end.
__device__ void load_product(const GroupedSwigluCall& call, int64_t row, int64_t column, bool whole,
                             float (&values)[N]) {
  const float* gate = row_of<const float>(call.x, row) + column;
  float up[N];
  load_pack(gate, call.width - column, whole, values);
  load_pack(gate + call.width, call.width - column, whole, up);
#pragma unroll
  for (int i = 0; i < N; ++i) values[i] = __fmul_rn(silu(values[i]), up[i]);
}

// A block for each row's part of blockDim.x packs.
template <bool kQuantizes>
__global__ void swiglu_rows(GroupedSwigluCall call, unsigned blocks_a_row, bool whole) {
  wait_for_previous_kernel();
  const int64_t row = blockIdx.x / blocks_a_row;
  const int64_t column = (static_cast<int64_t>(blockIdx.x % blocks_a_row) * blockDim.x + threadIdx.x) * N;
  if (!has_expert(call, row)) return;
  float values[N] = {};
  if (column < call.width) load_product(call, row, column, whole, values);
  if constexpr (kQuantizes) {
    quantize_group_of_128(values, {call.q, call.scale, call.width}, row, column, whole);
  } else if (column < call.width) {
    store_pack(values, call.y + row * call.width + column, call.width - column, whole);
  }
}

template <bool kQuantizes>
void launch(const GroupedSwigluCall& call, gpuStream_t stream) {
  constexpr int64_t kMaxThreads = 256;
  const bool whole = call.width % N == 0 && has_whole_packs<float, N>(call.x) &&
                     is_aligned(call.y, alignof(Pack<float, N>)) &&
                     is_aligned(call.q, alignof(Pack<uint8_t, N>));
  const int64_t lanes = ((call.width + N - 1) / N + kWarpSize - 1) / kWarpSize * kWarpSize;
  const int64_t blocks_a_row = (lanes + kMaxThreads - 1) / kMaxThreads;
  const int64_t warps = (lanes / kWarpSize + blocks_a_row - 1) / blocks_a_row;
  launch_kernel(swiglu_rows<kQuantizes>, dim3(static_cast<unsigned>(call.x.outer * blocks_a_row)),
                dim3(static_cast<unsigned>(warps * kWarpSize)), stream, call,
                static_cast<unsigned>(blocks_a_row), whole);
}

}  // namespace

void launch_grouped_swiglu(const GroupedSwigluCall& call, gpuStream_t stream) {
  launch<false>(call, stream);
}

void launch_grouped_swiglu_quant(const GroupedSwigluCall& call, gpuStream_t stream) {
  launch<true>(call, stream);
}

}  // namespace musaic
