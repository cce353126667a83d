#include "gpu_launch.cuh"
#include "ops/quantize/quantize_gpu.h"
#include "ops/quantize/quantized_rows_gpu.cuh"

namespace musaic {
namespace {

__global__ void quantize_rows(DeviceRows x, QuantizedRowsOut out, const int32_t* live_rows,
                              unsigned blocks_a_row, bool whole) {
  wait_for_previous_kernel();
  const PackPlace place = my_pack(blocks_a_row);
  const int64_t column = place.pack * kPackWidth<float>;
  const bool active = column < x.width && place.row < live_count(live_rows, x.outer);
  float values[kPackWidth<float>] = {};
  if (active) load_pack(row_of<const float>(x, place.row) + column, x.width - column, whole, values);
  quantize_pack(values, out, place.row, column, active);
}

}  // namespace

void launch_quantize_q8(const DeviceRows& x, const QuantizedRowsOut& out, const int32_t* live_rows,
                        gpuStream_t stream) {
  constexpr int kWidth = kPackWidth<float>;
  const RowGrid shape = RowGrid::of(x.outer, x.width / kWidth);
  launch_kernel(quantize_rows, shape.grid, shape.block, stream, x, out, live_rows, shape.blocks_a_row,
                has_whole_packs<float, kWidth>(x));
}

}  // namespace musaic
