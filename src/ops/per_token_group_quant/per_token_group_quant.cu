#include "backends/gpu/row_packs.cuh"
#include "gpu_launch.cuh"
#include "ops/per_token_group_quant/f8_gpu.cuh"
#include "ops/per_token_group_quant/per_token_group_quant_gpu.h"
#include "ops/swiglu/silu_gpu.cuh"

namespace musaic {
namespace {

// The smallest power of two that is no smaller. REQUIRES: positive.
__device__ float next_power_of_two(float value) {
  const uint32_t bits = __float_as_uint(value);
  return __uint_as_float(((bits >> 23) + ((bits & 0x7FFFFF) != 0 ? 1 : 0)) << 23);
}

__device__ void store_scale(const GroupQuantCall& call, int64_t plane, int64_t row, int64_t group,
                            float scale) {
  const PlaneStrides& strides = call.scale_strides;
  const int64_t start = plane * strides.plane + row * strides.row;
  if (!call.packed) {
    static_cast<float*>(call.scales)[start + group * strides.column] = scale;
    return;
  }
  uint8_t* bytes = static_cast<uint8_t*>(call.scales) + 4 * (start + group / 4 * strides.column);
  bytes[group % 4] = static_cast<uint8_t>(__float_as_uint(scale) >> 23);
  if (group + 1 < call.groups) return;
  for (int64_t missing = group % 4 + 1; missing < 4; ++missing) bytes[missing] = 0;
}

__device__ uint8_t quantized(const GroupQuantCall& call, float value, float scale) {
  const float held = fmaxf(call.min, fminf(__fdiv_rn(value, scale), call.max));
  return static_cast<uint8_t>(call.is_i8 ? static_cast<uint32_t>(__float2int_rn(held)) : to_f8e4m3(held));
}

// The pack's values, of silu(gate) · up where that is fused.
template <class T, int N>
__device__ void load_input(const GroupQuantCall& call, const T* from, int64_t count, bool whole,
                           float (&values)[N]) {
  load_pack(from, count, whole, values);
  if (!call.fuse_silu) return;
  float up[N];
  load_pack(from + call.width, count, whole, up);
#pragma unroll
  for (int i = 0; i < N; ++i) values[i] = to_float(from_float<T>(__fmul_rn(silu(values[i]), up[i])));
}

// A row that takes part; `row` counts through all planes, `live` planes or, where there is one, rows.
__device__ bool is_live(const GroupQuantCall& call, int64_t row, int64_t live) {
  if (row >= call.planes * call.rows) return false;
  if ((call.nested ? row / call.rows : row) >= live) return false;
  return call.masked_m == nullptr || row % call.rows < call.masked_m[row / call.rows];
}

// A thread for a pack, group_size / N neighbouring lanes for a group.
template <class T>
__global__ void quantize_groups(GroupQuantCall call, unsigned blocks_a_row, bool whole) {
  constexpr int N = kPackWidth<T>;
  const int64_t live = live_count(call.live_rows, call.nested ? call.planes : call.rows);
  wait_for_previous_kernel();
  const PackPlace place = my_pack(blocks_a_row);
  const int64_t column = place.pack * N;
  const bool active = column < call.width && is_live(call, place.row, live);
  const int64_t plane = call.nested ? place.row / call.rows : 0;
  const int64_t row = call.nested ? place.row % call.rows : place.row;
  float values[N] = {};
  if (active) {
    const PlaneStrides& strides = call.input_strides;
    const T* from = static_cast<const T*>(call.input) + plane * strides.plane + row * strides.row + column;
    load_input(call, from, call.width - column, whole, values);
  }
  float largest = 0.0f;
#pragma unroll
  for (int i = 0; i < N; ++i) largest = fmaxf(largest, fabsf(values[i]));
  for (int distance = call.group_size / N / 2; distance > 0; distance /= 2)
    largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, distance));
  if (!active) return;

  float scale = __fdiv_rn(fmaxf(largest, call.eps), call.max);
  if (call.power_of_two) scale = next_power_of_two(scale);
  if (column % call.group_size == 0) store_scale(call, plane, row, column / call.group_size, scale);
  Pack<uint8_t, N> bytes;
#pragma unroll
  for (int i = 0; i < N; ++i) bytes.values[i] = quantized(call, values[i], scale);
  uint8_t* q = call.q + place.row * call.width + column;
  if (whole) {
    *reinterpret_cast<Pack<uint8_t, N>*>(q) = bytes;
    return;
  }
#pragma unroll
  for (int i = 0; i < N; ++i) {
    if (column + i < call.width) q[i] = bytes.values[i];
  }
}

template <class T>
void launch(const GroupQuantCall& call, gpuStream_t stream) {
  constexpr int N = kPackWidth<T>;
  const PlaneStrides& strides = call.input_strides;
  const bool whole = call.width % N == 0 && strides.plane % N == 0 && strides.row % N == 0 &&
                     is_aligned(call.input, alignof(Pack<T, N>)) &&
                     is_aligned(call.q, alignof(Pack<uint8_t, N>));
  const int64_t lanes_a_group = call.group_size / N;
  const RowGrid shape = RowGrid::of(call.planes * call.rows, call.groups * lanes_a_group);
  launch_kernel(quantize_groups<T>, shape.grid, shape.block, stream, call, shape.blocks_a_row, whole);
}

}  // namespace

void launch_group_quant(const GroupQuantCall& call, gpuStream_t stream) {
  with_float_type(call.dtype,
                  [&](auto* type) { launch<std::remove_pointer_t<decltype(type)>>(call, stream); });
}

}  // namespace musaic
