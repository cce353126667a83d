#include "gpu_launch.cuh"
#include "ops/rms_norm/norm_row_gpu.cuh"
#include "ops/rms_norm/rms_norm_gpu.h"

namespace musaic {
namespace {

template <class T, class W>
__global__ void __launch_bounds__(kMaxNormThreads) rms_norm_rows(RmsNormCall call, bool whole) {
  __shared__ float scratch[32];
  wait_for_previous_kernel();
  const int64_t index = static_cast<int64_t>(blockIdx.x) * blockDim.y + threadIdx.y;
  if (index >= live_count(call.live_rows, call.x.outer) * call.x.inner) return;  // whole blocks or warps
  const NormRow<T, W> row = {row_of<const T>(call.x, index),
                             call.residual.data != nullptr ? row_of<T>(call.residual, index) : nullptr,
                             call.extra.data != nullptr ? row_of<const T>(call.extra, index) : nullptr,
                             static_cast<const W*>(call.weight),
                             static_cast<int>(call.x.width),
                             call.eps,
                             whole};
  T* y = row_of<T>(call.y, index);
  norm_row(row, scratch, [&](int column, const auto& values) {
    if (column < row.width) store_pack(values, y + column, row.width - column, whole);
  });
}

template <class T, class W>
void launch(const RmsNormCall& call, gpuStream_t stream) {
  constexpr int kWidth = kPackWidth<T>;
  const bool whole = has_whole_packs<T, kWidth>(call.x) && has_whole_packs<T, kWidth>(call.residual) &&
                     has_whole_packs<T, kWidth>(call.extra) && has_whole_packs<T, kWidth>(call.y) &&
                     is_aligned(call.weight, alignof(Pack<W, kWidth>));
  const dim3 block = norm_block<T>(call.x.width, call.x.rows());
  launch_kernel(rms_norm_rows<T, W>, norm_grid(call.x.rows(), block), block, stream, call, whole);
}

}  // namespace

void launch_rms_norm(const RmsNormCall& call, gpuStream_t stream) {
  with_float_type(call.x.dtype, [&](auto* value) {
    with_float_type(call.weight_dtype, [&](auto* weight) {
      launch<std::remove_pointer_t<decltype(value)>, std::remove_pointer_t<decltype(weight)>>(call, stream);
    });
  });
}

}  // namespace musaic
