#include "gpu_launch.cuh"
#include "ops/norm_quantize/norm_quantize_gpu.h"
#include "ops/quantize/quantized_rows_gpu.cuh"
#include "ops/rms_norm/norm_row_gpu.cuh"

namespace musaic {
namespace {

template <class W>
__global__ void __launch_bounds__(kMaxNormThreads)
    norm_quantize_rows(RmsNormCall call, QuantizedRowsOut out, bool whole) {
  __shared__ float scratch[32];
  wait_for_previous_kernel();
  const int64_t index = static_cast<int64_t>(blockIdx.x) * blockDim.y + threadIdx.y;
  if (index >= live_count(call.live_rows, call.x.outer)) return;  // whole blocks or warps
  const NormRow<float, W> row = {
      row_of<const float>(call.x, index),
      call.residual.data != nullptr ? row_of<float>(call.residual, index) : nullptr,
      nullptr,
      static_cast<const W*>(call.weight),
      static_cast<int>(call.x.width),
      call.eps,
      whole};
  norm_row(row, scratch, [&](int column, const float(&values)[kPackWidth<float>]) {
    quantize_pack(values, out, index, column, column < row.width);
  });
}

}  // namespace

void launch_norm_quantize(const RmsNormCall& norm, const QuantizedRowsOut& out, gpuStream_t stream) {
  constexpr int kWidth = kPackWidth<float>;
  with_float_type(norm.weight_dtype, [&](auto* weight) {
    using W = std::remove_pointer_t<decltype(weight)>;
    const bool whole = has_whole_packs<float, kWidth>(norm.x) &&
                       has_whole_packs<float, kWidth>(norm.residual) &&
                       is_aligned(norm.weight, alignof(Pack<W, kWidth>));
    const dim3 block = norm_block<float>(norm.x.width, norm.x.outer);
    launch_kernel(norm_quantize_rows<W>, norm_grid(norm.x.outer, block), block, stream, norm, out, whole);
  });
}

}  // namespace musaic
