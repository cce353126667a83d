#include "gpu_launch.cuh"
#include "ops/quantize/quantized_rows_gpu.cuh"
#include "ops/swiglu/silu_gpu.cuh"
#include "ops/swiglu_quantize/swiglu_quantize_gpu.h"

namespace musaic {
namespace {

constexpr int kWidth = kPackWidth<float>;

__global__ void swiglu_quantize_rows(DeviceRows x, QuantizedRowsOut out, const int32_t* live_rows,
                                     unsigned blocks_a_row, bool whole) {
  wait_for_previous_kernel();
  const PackPlace place = my_pack(blocks_a_row);
  const int64_t half = x.width / 2;
  const int64_t column = place.pack * kWidth;
  const bool active = column < half && place.row < live_count(live_rows, x.outer);
  float product[kWidth] = {};
  if (active) {
    const float* gate = row_of<const float>(x, place.row) + column;
    float up[kWidth];
    load_pack(gate, kWidth, whole, product);
    load_pack(gate + half, kWidth, whole, up);
#pragma unroll
    for (int i = 0; i < kWidth; ++i) product[i] = __fmul_rn(silu(product[i]), up[i]);
  }
  quantize_pack(product, out, place.row, column, active);
}

}  // namespace

void launch_swiglu_quantize(const DeviceRows& x, const QuantizedRowsOut& out, const int32_t* live_rows,
                            gpuStream_t stream) {
  const RowGrid shape = RowGrid::of(x.outer, x.width / 2 / kWidth);
  launch_kernel(swiglu_quantize_rows, shape.grid, shape.block, stream, x, out, live_rows, shape.blocks_a_row,
                has_whole_packs<float, kWidth>(x));
}

}  // namespace musaic
