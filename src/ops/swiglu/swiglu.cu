#include "backends/gpu/elementwise.cuh"
#include "ops/swiglu/silu_gpu.cuh"
#include "ops/swiglu/swiglu_gpu.h"

namespace musaic {
namespace {

struct Silu {
  __device__ float operator()(float x, float) const { return silu(x); }
};
struct Product {
  __device__ float operator()(float a, float b) const { return a * b; }
};
struct SiluProduct {
  __device__ float operator()(float gate, float up) const { return __fmul_rn(silu(gate), up); }
};

template <class T>
void* at_value(void* data, int64_t index) {
  return static_cast<T*>(data) + index;
}

}  // namespace

void launch_silu(const DeviceRows& x, const DeviceRows& y, const int32_t* live_rows, gpuStream_t stream) {
  with_float_type(x.dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    launch_elementwise<T, T>(x, {}, y, live_rows, stream, Silu());
  });
}

void launch_mul(const DeviceRows& a, const DeviceRows& b, const DeviceRows& y, const int32_t* live_rows,
                gpuStream_t stream) {
  with_float_type(a.dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    launch_elementwise<T, T>(a, b, y, live_rows, stream, Product());
  });
}

void launch_swiglu(const DeviceRows& x, const DeviceRows& y, const int32_t* live_rows, gpuStream_t stream) {
  with_float_type(x.dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    DeviceRows gate = x;
    gate.width = y.width;
    DeviceRows up = gate;
    up.data = at_value<T>(x.data, y.width);
    launch_elementwise<T, T>(gate, up, y, live_rows, stream, SiluProduct());
  });
}

}  // namespace musaic
