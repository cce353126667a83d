#include "backends/gpu/device_math.cuh"
#include "ops/rms_norm/rms_norm_gpu.h"

namespace musaic {
namespace {

constexpr int kThreads = 256;

// A block a row. The residual, rounded, is read back by the thread that wrote it.
template <class T, class W>
__global__ void __launch_bounds__(kThreads) rms_norm_rows(RmsNormCall call) {
  __shared__ float scratch[32];
  const int64_t index = blockIdx.x;
  if (index >= live_count(call.live_rows, call.x.outer) * call.x.inner) return;
  const T* x = row_of<T>(call.x, index);
  T* residual = call.residual.data != nullptr ? row_of<T>(call.residual, index) : nullptr;
  const T* extra = call.extra.data != nullptr ? row_of<T>(call.extra, index) : nullptr;
  const int64_t width = call.x.width;

  float squares = 0.0f;
  for (int64_t i = threadIdx.x; i < width; i += kThreads) {
    float value = to_float(x[i]);
    if (residual != nullptr) {
      value += to_float(residual[i]);
      if (extra != nullptr) value += to_float(extra[i]);
      residual[i] = from_float<T>(value);
      value = to_float(residual[i]);
    }
    squares += value * value;
  }
  const float factor = 1.0f / sqrtf(block_sum(squares, scratch) / static_cast<float>(width) + call.eps);

  const T* source = residual != nullptr ? residual : x;
  const W* weight = static_cast<const W*>(call.weight);
  T* y = row_of<T>(call.y, index);
  for (int64_t i = threadIdx.x; i < width; i += kThreads)
    y[i] = from_float<T>(to_float(source[i]) * factor * to_float(weight[i]));
}

}  // namespace

void launch_rms_norm(const RmsNormCall& call, gpuStream_t stream) {
  if (call.x.rows() == 0) return;
  with_float_type(call.x.dtype, [&](auto* value) {
    with_float_type(call.weight_dtype, [&](auto* weight) {
      using T = std::remove_pointer_t<decltype(value)>;
      using W = std::remove_pointer_t<decltype(weight)>;
      rms_norm_rows<T, W><<<static_cast<unsigned>(call.x.rows()), kThreads, 0, stream>>>(call);
    });
  });
}

}  // namespace musaic
