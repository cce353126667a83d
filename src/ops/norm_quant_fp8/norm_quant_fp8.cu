#include "gpu_launch.cuh"
#include "ops/norm_quant_fp8/norm_quant_fp8_gpu.h"
#include "ops/per_token_group_quant/group_of_128_gpu.cuh"
#include "ops/rms_norm/norm_row_gpu.cuh"

namespace musaic {
namespace {

template <class W>
__global__ void __launch_bounds__(kMaxNormThreads)
    add_norm_quantize_rows(RmsNormCall call, Fp8RowsOut out, bool whole) {
  __shared__ float scratch[32];
  wait_for_previous_kernel();
  const int64_t index = static_cast<int64_t>(blockIdx.x) * blockDim.y + threadIdx.y;
  if (index >= live_count(call.live_rows, call.x.outer)) return;  // whole blocks or warps
  float* x = row_of<float>(call.x, index);
  const NormRow<float, W> row = {x,
                                 row_of<float>(call.residual, index),
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
    launch_kernel(add_norm_quantize_rows<W>, norm_grid(norm.x.outer, block), block, stream, norm, out, whole);
  });
}

}  // namespace musaic
