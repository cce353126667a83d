#include "gpu_launch.cuh"
#include "ops/norm_quant_fp8/norm_quant_fp8_gpu.h"
#include "ops/per_token_group_quant/group_of_128_gpu.cuh"
#include "ops/rms_norm/norm_row_gpu.cuh"

namespace musaic {
namespace {

template <class W, bool whole>
__global__ void __launch_bounds__(kMaxNormThreads) add_norm_quantize_rows(RmsNormCall call, Fp8RowsOut out) {
  __shared__ float scratch[32];
  const int64_t index = static_cast<int64_t>(blockIdx.x) * blockDim.y + threadIdx.y;
  const int64_t live = live_count(call.live_rows, call.x.outer);
  prefetch_weight(static_cast<const W*>(call.weight), call.x.width);
  wait_for_previous_kernel();
  if (index >= live) return;  // whole blocks or warps
  float* x = static_cast<float*>(call.x.data) + index * call.x.outer_stride;
  const NormRow<float, W> row = {x,
                                 static_cast<float*>(call.residual.data) + index * call.residual.outer_stride,
                                 nullptr,
                                 static_cast<const W*>(call.weight),
                                 static_cast<int>(call.x.width),
                                 call.eps,
                                 whole};
  norm_row(row, scratch, [&](int column, const float(&values)[kPackWidth<float>]) {
    if (column < row.width) store_pack(values, x + column, row.width - column, whole);
    quantize_group_of_128(values, out, index, column, whole);
  });
}

}  // namespace

void launch_norm_quant_fp8(const RmsNormCall& norm, const Fp8RowsOut& out, gpuStream_t stream) {
  constexpr int kWidth = kPackWidth<float>;
  with_float_type(norm.weight_dtype, [&](auto* weight) {
    using W = std::remove_pointer_t<decltype(weight)>;
    const bool whole = has_whole_packs<float, kWidth>(norm.x) &&
                       has_whole_packs<float, kWidth>(norm.residual) &&
                       is_aligned(norm.weight, alignof(Pack<W, kWidth>)) && is_aligned(out.q, kWidth);
    const dim3 block = norm_block<float>(norm.x.width, norm.x.outer);
    launch_kernel(whole ? add_norm_quantize_rows<W, true> : add_norm_quantize_rows<W, false>,
                  norm_grid(norm.x.outer, block), block, stream, norm, out);
  });
}

}  // namespace musaic
