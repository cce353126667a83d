#include "backends/gpu/row_packs.cuh"
#include "gpu_launch.cuh"
#include "ops/index_select/index_select_gpu.h"

namespace musaic {
namespace {

template <class T>
__global__ void select_rows(DeviceRows x, const int32_t* indices, DeviceRows y, const int32_t* live_rows,
                            unsigned blocks_a_row, bool whole) {
  wait_for_previous_kernel();
  constexpr int kWidth = kPackWidth<T>;
  const PackPlace place = my_pack(blocks_a_row);
  const int64_t column = place.pack * kWidth;
  if (column >= y.width || place.row >= live_count(live_rows, y.outer)) return;
  float values[kWidth];
  load_pack(row_of<const T>(x, indices[place.row]) + column, y.width - column, whole, values);
  store_pack(values, row_of<T>(y, place.row) + column, y.width - column, whole);
}

}  // namespace

void launch_index_select(const DeviceRows& x, const int32_t* indices, const DeviceRows& y,
                         const int32_t* live_rows, gpuStream_t stream) {
  with_float_type(x.dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    constexpr int kWidth = kPackWidth<T>;
    const bool whole = has_whole_packs<T, kWidth>(x) && has_whole_packs<T, kWidth>(y);
    const RowGrid shape = RowGrid::of(y.outer, (y.width + kWidth - 1) / kWidth);
    launch_kernel(select_rows<T>, shape.grid, shape.block, stream, x, indices, y, live_rows,
                  shape.blocks_a_row, whole);
  });
}

}  // namespace musaic
