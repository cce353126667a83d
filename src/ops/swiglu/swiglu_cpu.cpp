#include "backends/cpu/cpu_stream.h"
#include "backends/cpu/highway_targets.h"
#include "backends/cpu/rows.h"
#include "ir/registry.h"
#include "ops/swiglu/swiglu.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/swiglu/swiglu_cpu.cpp"
#include "hwy/foreach_target.h"
// after foreach_target.h
#include "backends/cpu/simd.inl"
#include "hwy/highway.h"
#include "ops/swiglu/silu_cpu.inl"

HWY_BEFORE_NAMESPACE();
namespace musaic {
namespace HWY_NAMESPACE {
namespace {

void Silu(const float* x, float* y, size_t n) {
  size_t i = 0;
  for (; i + lanes() <= n; i += lanes()) store(silu_of(load(x + i)), y + i);
  if (i < n) store_first(silu_of(load_first(x + i, n - i)), y + i, n - i);
}

template <class T>
void silu_mul(const T* gate, const T* up, T* y, size_t n) {
  size_t i = 0;
  for (; i + lanes() <= n; i += lanes()) store(hn::Mul(silu_of(load(gate + i)), load(up + i)), y + i);
  if (i == n) return;
  const size_t rest = n - i;
  store_first(hn::Mul(silu_of(load_first(gate + i, rest)), load_first(up + i, rest)), y + i, rest);
}

void SiluMulF32(const float* gate, const float* up, float* y, size_t n) {
  silu_mul(gate, up, y, n);
}
void SiluMulF16(const hwy::float16_t* gate, const hwy::float16_t* up, hwy::float16_t* y, size_t n) {
  silu_mul(gate, up, y, n);
}
void SiluMulBF16(const hwy::bfloat16_t* gate, const hwy::bfloat16_t* up, hwy::bfloat16_t* y, size_t n) {
  silu_mul(gate, up, y, n);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace musaic
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace musaic {
namespace {

HWY_EXPORT(Silu);
HWY_EXPORT(SiluMulF32);
HWY_EXPORT(SiluMulF16);
HWY_EXPORT(SiluMulBF16);

constexpr int64_t kColumns = 512;  // of one unit of work: one row of a wide MLP still feeds all workers

bool is_of_rows(const Meta& meta) {
  return meta.rank() == 2 || meta.rank() == 3;
}

bool is_rows(const Meta& meta) {
  return meta.dtype == DType::kF32 && is_of_rows(meta);
}

bool supports_unary(const KernelQuery& query) {
  return is_rows(*query.inputs[0]);
}

bool supports_mul(const KernelQuery& query) {
  return is_rows(*query.inputs[0]) && is_rows(*query.inputs[1]);
}

// Calls work(row, first column, number of columns) for the worker's part of the live rows of `y`.
template <class Rows, class Work>
void for_each_part(const Rows& y, const int32_t* live_rows, const Worker& worker, const Work& work) {
  const int64_t parts = (y.width + kColumns - 1) / kColumns;
  const IndexRange range = share_of(worker, live_count(live_rows, y.outer) * y.inner * parts);
  for (int64_t i = range.begin; i < range.end; ++i) {
    const int64_t column = i % parts * kColumns;
    work(i / parts, column, static_cast<size_t>(std::min(kColumns, y.width - column)));
  }
}

void run_silu(const KernelCall& call) {
  const FloatRows x = FloatRows::of(call.inputs[0]);
  const FloatRows y = FloatRows::of(call.outputs[0]);
  const int32_t* live_rows = call.live_rows;
  cpu_stream(call.stream).launch([=](const Worker& worker) {
    for_each_part(y, live_rows, worker, [&](int64_t row, int64_t column, size_t n) {
      HWY_DYNAMIC_DISPATCH(Silu)(x.row(row) + column, y.row(row) + column, n);
    });
  });
}

void run_mul(const KernelCall& call) {
  const FloatRows a = FloatRows::of(call.inputs[0]);
  const FloatRows b = FloatRows::of(call.inputs[1]);
  const FloatRows y = FloatRows::of(call.outputs[0]);
  const int32_t* live_rows = call.live_rows;
  cpu_stream(call.stream).launch([=](const Worker& worker) {
    for_each_part(y, live_rows, worker, [&](int64_t row, int64_t column, size_t n) {
      const float* left = a.row(row) + column;
      const float* right = b.row(row) + column;
      float* out = y.row(row) + column;
      for (size_t k = 0; k < n; ++k) out[k] = left[k] * right[k];
    });
  });
}

void silu_mul(const float* gate, const float* up, float* y, size_t n) {
  HWY_DYNAMIC_DISPATCH(SiluMulF32)(gate, up, y, n);
}
void silu_mul(const hwy::float16_t* gate, const hwy::float16_t* up, hwy::float16_t* y, size_t n) {
  HWY_DYNAMIC_DISPATCH(SiluMulF16)(gate, up, y, n);
}
void silu_mul(const hwy::bfloat16_t* gate, const hwy::bfloat16_t* up, hwy::bfloat16_t* y, size_t n) {
  HWY_DYNAMIC_DISPATCH(SiluMulBF16)(gate, up, y, n);
}

template <class T>
void launch_fused_swiglu(const KernelCall& call) {
  const auto x = DenseRows<T>::of(call.inputs[0]);
  const auto y = DenseRows<T>::of(call.outputs[0]);
  const int32_t* live_rows = call.live_rows;
  cpu_stream(call.stream).launch([=](const Worker& worker) {
    for_each_part(y, live_rows, worker, [&](int64_t row, int64_t column, size_t n) {
      const T* gate = x.row(row) + column;
      silu_mul(gate, gate + y.width, y.row(row) + column, n);
    });
  });
}

bool supports_fused_swiglu(const KernelQuery& query) {
  return is_of_rows(*query.inputs[0]);
}

void run_fused_swiglu(const KernelCall& call) {
  switch (call.inputs[0].dtype) {
    case DType::kF16:
      return launch_fused_swiglu<hwy::float16_t>(call);
    case DType::kBF16:
      return launch_fused_swiglu<hwy::bfloat16_t>(call);
    default:
      return launch_fused_swiglu<float>(call);
  }
}

}  // namespace

void add_swiglu_cpu(OpRegistry& registry) {
  registry.add_kernel(
      "aten::silu", {.name = "silu_cpu", .device_type = "cpu", .supports = supports_unary, .run = run_silu});
  registry.add_kernel("aten::mul",
                      {.name = "mul_cpu", .device_type = "cpu", .supports = supports_mul, .run = run_mul});
  registry.add_kernel("aten::_fused_swiglu_forward", {.name = "fused_swiglu_cpu",
                                                      .device_type = "cpu",
                                                      .supports = supports_fused_swiglu,
                                                      .run = run_fused_swiglu});
}

}  // namespace musaic
#endif
