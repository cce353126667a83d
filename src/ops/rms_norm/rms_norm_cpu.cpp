#include <cmath>

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

#ifndef MUSAIC_OPS_RMS_NORM_CPU
#define MUSAIC_OPS_RMS_NORM_CPU
namespace musaic {

// Addresses of one call. `residual.data` is null for the plain norm.
struct RmsNormWork {
  FloatRows x;
  FloatRows residual;
  FloatRows y;
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

// The sum of squares in two chains of vectors, always in the same order.
class SquareSum {
 public:
  HWY_INLINE SquareSum() : first_(hn::Zero(FloatTag())), second_(hn::Zero(FloatTag())) {}
  HWY_INLINE void add(FloatVector value) {
    const FloatVector next = hn::MulAdd(value, value, second_);
    second_ = first_;
    first_ = next;
  }
  HWY_INLINE float total() const { return sum_of_lanes(hn::Add(first_, second_)); }

 private:
  FloatVector first_;
  FloatVector second_;
};

float sum_squares(const float* x, size_t n) {
  SquareSum sum;
  size_t i = 0;
  for (; i + lanes() <= n; i += lanes()) sum.add(load(x + i));
  if (i < n) sum.add(load_first(x + i, n - i));
  return sum.total();
}

// residual += x, and the sum of squares of the result.
float add_and_sum_squares(const float* x, float* residual, size_t n) {
  SquareSum sum;
  size_t i = 0;
  for (; i + lanes() <= n; i += lanes()) {
    const FloatVector value = hn::Add(load(x + i), load(residual + i));
    store(value, residual + i);
    sum.add(value);
  }
  if (i < n) {
    const FloatVector value = hn::Add(load_first(x + i, n - i), load_first(residual + i, n - i));
    store_first(value, residual + i, n - i);
    sum.add(value);
  }
  return sum.total();
}

template <class W>
void scale_row(const float* x, const W* weight, float factor, float* y, size_t n) {
  const FloatVector scale = hn::Set(FloatTag(), factor);
  size_t i = 0;
  for (; i + lanes() <= n; i += lanes()) store(hn::Mul(hn::Mul(load(x + i), scale), load(weight + i)), y + i);
  if (i == n) return;
  const FloatVector last = hn::Mul(hn::Mul(load_first(x + i, n - i), scale), load_first(weight + i, n - i));
  store_first(last, y + i, n - i);
}

template <class W>
void norm_rows(const RmsNormWork& work, IndexRange range) {
  const size_t n = static_cast<size_t>(work.x.width);
  for (int64_t i = range.begin; i < range.end; ++i) {
    const bool fused = work.residual.data != nullptr;
    const float* source = fused ? work.residual.row(i) : work.x.row(i);
    const float squares =
        fused ? add_and_sum_squares(work.x.row(i), work.residual.row(i), n) : sum_squares(source, n);
    const float factor = 1.0f / std::sqrt(squares / static_cast<float>(n) + work.eps);
    scale_row(source, static_cast<const W*>(work.weight), factor, work.y.row(i), n);
  }
}

void RmsNormRows(const RmsNormWork& work, IndexRange range) {
  switch (work.weight_dtype) {
    case DType::kF16:
      return norm_rows<hwy::float16_t>(work, range);
    case DType::kBF16:
      return norm_rows<hwy::bfloat16_t>(work, range);
    default:
      return norm_rows<float>(work, range);
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace musaic
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace musaic {
namespace {

HWY_EXPORT(RmsNormRows);

bool is_float(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16;
}

bool supports_rms_norm(const KernelQuery& query) {
  const Meta& x = *query.inputs[0];
  return x.dtype == DType::kF32 && (x.rank() == 2 || x.rank() == 3) && is_float(query.inputs[1]->dtype);
}

bool supports_fused(const KernelQuery& query) {
  const Meta& x = *query.inputs[0];
  return x.dtype == DType::kF32 && query.inputs[1]->dtype == DType::kF32 &&
         (x.rank() == 2 || x.rank() == 3) && is_float(query.inputs[2]->dtype);
}

void launch(const KernelCall& call, const RmsNormWork& work) {
  cpu_stream(call.stream).launch([work](const Worker& worker) {
    const int64_t rows = live_count(work.live_rows, work.x.outer) * work.x.inner;
    HWY_DYNAMIC_DISPATCH(RmsNormRows)(work, share_of(worker, rows));
  });
}

void run_rms_norm(const KernelCall& call) {
  launch(call, {.x = FloatRows::of(call.inputs[0]),
                .residual = {},
                .y = FloatRows::of(call.outputs[0]),
                .weight = call.inputs[1].data,
                .weight_dtype = call.inputs[1].dtype,
                .eps = static_cast<float>(call.attributes.get_float("eps")),
                .live_rows = call.live_rows});
}

void run_fused(const KernelCall& call) {
  const FloatRows x = FloatRows::of(call.inputs[0]);
  launch(call, {.x = x,
                .residual = FloatRows::of(call.inputs[1]),
                .y = x,
                .weight = call.inputs[2].data,
                .weight_dtype = call.inputs[2].dtype,
                .eps = static_cast<float>(call.attributes.get_float("eps")),
                .live_rows = call.live_rows});
}

}  // namespace

void add_rms_norm_cpu(OpRegistry& registry) {
  registry.add_kernel(
      "aten::rms_norm",
      {.name = "rms_norm_cpu", .device_type = "cpu", .supports = supports_rms_norm, .run = run_rms_norm});
  registry.add_kernel(
      "sgl_kernel::fused_add_rmsnorm",
      {.name = "fused_add_rmsnorm_cpu", .device_type = "cpu", .supports = supports_fused, .run = run_fused});
}

}  // namespace musaic
#endif
