#include "backends/gpu/elementwise.cuh"
#include "ops/cast/cast_gpu.h"

namespace musaic {
namespace {

struct Same {
  __device__ float operator()(float x, float) const { return x; }
};

}  // namespace

void launch_cast(const DeviceRows& x, const DeviceRows& y, const int32_t* live_rows, gpuStream_t stream) {
  with_float_type(x.dtype, [&](auto* from) {
    with_float_type(y.dtype, [&](auto* to) {
      using From = std::remove_pointer_t<decltype(from)>;
      using To = std::remove_pointer_t<decltype(to)>;
      launch_elementwise<From, To>(x, {}, y, live_rows, stream, Same());
    });
  });
}

}  // namespace musaic
