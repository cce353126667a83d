#include <cstring>

#include "backends/cpu/cpu_stream.h"
#include "backends/cpu/rows.h"
#include "ir/registry.h"
#include "ops/cast/cast.h"
#include "tensor/half.h"

namespace musaic {
namespace {

struct F16 {
  uint16_t bits;
};
struct BF16 {
  uint16_t bits;
};

float to_float(float value) {
  return value;
}
float to_float(F16 value) {
  return f16_to_float(value.bits);
}
float to_float(BF16 value) {
  return bf16_to_float(value.bits);
}
void from_float(float value, float& out) {
  out = value;
}
void from_float(float value, F16& out) {
  out.bits = float_to_f16(value);
}
void from_float(float value, BF16& out) {
  out.bits = float_to_bf16(value);
}

// A vector is rows of one value.
template <class T>
DenseRows<T> rows_of(const Tensor& tensor) {
  if (tensor.shape.rank() > 1) return DenseRows<T>::of(tensor);
  return {tensor.as<T>(), tensor.shape[0], 1, tensor.strides[0], 0, 1};
}

template <class From, class To>
void launch_cast(const KernelCall& call) {
  const auto x = rows_of<From>(call.inputs[0]);
  const auto y = rows_of<To>(call.outputs[0]);
  const int32_t* live_rows = call.live_rows;
  cpu_stream(call.stream).launch([=](const Worker& worker) {
    const IndexRange range = share_of(worker, live_count(live_rows, x.outer) * x.inner);
    for (int64_t i = range.begin; i < range.end; ++i) {
      const From* from = x.row(i);
      To* to = y.row(i);
      for (int64_t k = 0; k < x.width; ++k) from_float(to_float(from[k]), to[k]);
    }
  });
}

template <class From>
void launch_from(const KernelCall& call) {
  switch (call.outputs[0].dtype) {
    case DType::kF16:
      return launch_cast<From, F16>(call);
    case DType::kBF16:
      return launch_cast<From, BF16>(call);
    default:
      return launch_cast<From, float>(call);
  }
}

void run_cast(const KernelCall& call) {
  switch (call.inputs[0].dtype) {
    case DType::kF16:
      return launch_from<F16>(call);
    case DType::kBF16:
      return launch_from<BF16>(call);
    default:
      return launch_from<float>(call);
  }
}

}  // namespace

void add_cast_cpu(OpRegistry& registry) {
  registry.add_kernel("musaic::cast", {.name = "cast_cpu", .device_type = "cpu", .run = run_cast});
}

}  // namespace musaic
