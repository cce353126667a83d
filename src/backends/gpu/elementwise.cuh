#pragma once

#include "backends/gpu/row_packs.cuh"
#include "gpu_launch.cuh"

namespace musaic {

// y = function(a, b) in float32, rounded once; b is 0 where it is absent. Pad rows are neither read nor
// written.
template <class In, class Out, int N, class Function>
__global__ void elementwise_rows(DeviceRows a, DeviceRows b, DeviceRows y, const int32_t* live_rows,
                                 unsigned blocks_a_row, bool whole, Function function) {
  wait_for_previous_kernel();
  const PackPlace place = my_pack(blocks_a_row);
  const int64_t column = place.pack * N;
  if (column >= y.width || place.row >= live_count(live_rows, y.outer) * y.inner) return;
  const int64_t count = y.width - column;
  float left[N];
  float right[N] = {};
  load_pack(row_of<const In>(a, place.row) + column, count, whole, left);
  if (b.data != nullptr) load_pack(row_of<const In>(b, place.row) + column, count, whole, right);
#pragma unroll
  for (int i = 0; i < N; ++i) left[i] = function(left[i], right[i]);
  store_pack(left, row_of<Out>(y, place.row) + column, count, whole);
}

// REQUIRES: rows of equal shapes, a and b of In, y of Out.
template <class In, class Out, class Function>
void launch_elementwise(const DeviceRows& a, const DeviceRows& b, const DeviceRows& y,
                        const int32_t* live_rows, gpuStream_t stream, Function function) {
  constexpr int kWidth = kPackWidth<In> < kPackWidth<Out> ? kPackWidth<In> : kPackWidth<Out>;
  const bool whole =
      has_whole_packs<In, kWidth>(a) && has_whole_packs<In, kWidth>(b) && has_whole_packs<Out, kWidth>(y);
  const RowGrid shape = RowGrid::of(y.rows(), (y.width + kWidth - 1) / kWidth);
  launch_kernel(elementwise_rows<In, Out, kWidth, Function>, shape.grid, shape.block, stream, a, b, y,
                live_rows, shape.blocks_a_row, whole, function);
}

}  // namespace musaic
