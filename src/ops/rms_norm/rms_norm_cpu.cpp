#include "backends/cpu/cpu_stream.h"
#include "backends/cpu/highway_targets.h"
#include "backends/cpu/rows.h"
#include "ir/registry.h"
#include "ops/rms_norm/rms_norm.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/rms_norm/rms_norm_cpu.cpp"
#include "hwy/foreach_target.h"
// after foreach_target.h
#include "backends/cpu/simd.inl"
#include "hwy/highway.h"
#include "ops/rms_norm/rms_norm_cpu.inl"

#ifndef MUSAIC_OPS_RMS_NORM_CPU
#define MUSAIC_OPS_RMS_NORM_CPU
namespace musaic {

// Addresses of one call over values of T. `residual.data` is null for the plain norm, `extra.data` where
// nothing more is added.
template <class T>
struct RmsNormWork {
  DenseRows<T> x;
  DenseRows<T> residual;
  DenseRows<T> extra;
  DenseRows<T> y;
  const void* weight;
  DType weight_dtype;
  float eps;
  const int32_t* live_rows;
};

}  // namespace musaic
#endif

HWY_BEFORE_NAMESPACE();
namespace musaic {
namespace HWY_NAMESPACE {
namespace {

template <class T, class W>
void scale_row(const T* x, const W* weight, float factor, T* y, size_t n) {
  const FloatVector scale = hn::Set(FloatTag(), factor);
  size_t i = 0;
  for (; i + lanes() <= n; i += lanes()) store(hn::Mul(hn::Mul(load(x + i), scale), load(weight + i)), y + i);
  if (i == n) return;
  const FloatVector last = hn::Mul(hn::Mul(load_first(x + i, n - i), scale), load_first(weight + i, n - i));
  store_first(last, y + i, n - i);
}

template <class T, class W>
void norm_weighted(const RmsNormWork<T>& work, IndexRange range) {
  const size_t n = static_cast<size_t>(work.x.width);
  for (int64_t i = range.begin; i < range.end; ++i) {
    const bool fused = work.residual.data != nullptr;
    const T* extra = work.extra.data != nullptr ? work.extra.row(i) : nullptr;
    const T* source = fused ? work.residual.row(i) : work.x.row(i);
    const float squares =
        fused ? add_and_sum_squares(work.x.row(i), work.residual.row(i), extra, n) : sum_squares(source, n);
    const auto* weight = static_cast<const W*>(work.weight);
    scale_row(source, weight, norm_factor(squares, n, work.eps), work.y.row(i), n);
  }
}

template <class T>
void norm_rows(const RmsNormWork<T>& work, IndexRange range) {
  switch (work.weight_dtype) {
    case DType::kF16:
      return norm_weighted<T, hwy::float16_t>(work, range);
    case DType::kBF16:
      return norm_weighted<T, hwy::bfloat16_t>(work, range);
    default:
      return norm_weighted<T, float>(work, range);
  }
}

void RmsNormF32(const RmsNormWork<float>& work, IndexRange range) {
  norm_rows(work, range);
}
void RmsNormF16(const RmsNormWork<hwy::float16_t>& work, IndexRange range) {
  norm_rows(work, range);
}
void RmsNormBF16(const RmsNormWork<hwy::bfloat16_t>& work, IndexRange range) {
  norm_rows(work, range);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace musaic
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace musaic {
namespace {

HWY_EXPORT(RmsNormF32);
HWY_EXPORT(RmsNormF16);
HWY_EXPORT(RmsNormBF16);

void norm_rows(const RmsNormWork<float>& work, IndexRange range) {
  HWY_DYNAMIC_DISPATCH(RmsNormF32)(work, range);
}
void norm_rows(const RmsNormWork<hwy::float16_t>& work, IndexRange range) {
  HWY_DYNAMIC_DISPATCH(RmsNormF16)(work, range);
}
void norm_rows(const RmsNormWork<hwy::bfloat16_t>& work, IndexRange range) {
  HWY_DYNAMIC_DISPATCH(RmsNormBF16)(work, range);
}

bool is_rows(const Meta& meta) {
  return meta.rank() == 2 || meta.rank() == 3;
}

bool supports_rows(const KernelQuery& query) {
  return is_rows(*query.inputs[0]);
}

template <class T>
void launch(const KernelCall& call, const RmsNormWork<T>& work) {
  cpu_stream(call.stream).launch([work](const Worker& worker) {
    const int64_t rows = live_count(work.live_rows, work.x.outer) * work.x.inner;
    norm_rows(work, share_of(worker, rows));
  });
}

template <class T>
void launch_rms_norm(const KernelCall& call) {
  launch<T>(call, {.x = DenseRows<T>::of(call.inputs[0]),
                   .residual = {},
                   .extra = {},
                   .y = DenseRows<T>::of(call.outputs[0]),
                   .weight = call.inputs[1].data,
                   .weight_dtype = call.inputs[1].dtype,
                   .eps = static_cast<float>(call.attributes.get_float("eps")),
                   .live_rows = call.live_rows});
}

template <class T>
void launch_fused(const KernelCall& call) {
  const auto x = DenseRows<T>::of(call.inputs[0]);
  const Tensor& extra = call.inputs[3];
  launch<T>(call, {.x = x,
                   .residual = DenseRows<T>::of(call.inputs[1]),
                   .extra = extra.defined() ? DenseRows<T>::of(extra) : DenseRows<T>{},
                   .y = x,
                   .weight = call.inputs[2].data,
                   .weight_dtype = call.inputs[2].dtype,
                   .eps = static_cast<float>(call.attributes.get_float("eps")),
                   .live_rows = call.live_rows});
}

void run_rms_norm(const KernelCall& call) {
  switch (call.inputs[0].dtype) {
    case DType::kF16:
      return launch_rms_norm<hwy::float16_t>(call);
    case DType::kBF16:
      return launch_rms_norm<hwy::bfloat16_t>(call);
    default:
      return launch_rms_norm<float>(call);
  }
}

}  // namespace

void run_fused_add_rms_norm_cpu(const KernelCall& call) {
  switch (call.inputs[0].dtype) {
    case DType::kF16:
      return launch_fused<hwy::float16_t>(call);
    case DType::kBF16:
      return launch_fused<hwy::bfloat16_t>(call);
    default:
      return launch_fused<float>(call);
  }
}

void add_rms_norm_cpu(OpRegistry& registry) {
  registry.add_kernel(
      "aten::rms_norm",
      {.name = "rms_norm_cpu", .device_type = "cpu", .supports = supports_rows, .run = run_rms_norm});
  registry.add_kernel("sgl_kernel::fused_add_rmsnorm", {.name = "fused_add_rmsnorm_cpu",
                                                        .device_type = "cpu",
                                                        .supports = supports_rows,
                                                        .run = run_fused_add_rms_norm_cpu});
}

}  // namespace musaic
#endif
