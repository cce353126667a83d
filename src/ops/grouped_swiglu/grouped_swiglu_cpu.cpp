#include "ops/grouped_swiglu/grouped_swiglu.h"

#include <algorithm>

#include "backends/cpu/cpu_stream.h"
#include "backends/cpu/highway_targets.h"
#include "ir/registry.h"
#include "ops/grouped_linear/expert_rows_cpu.h"
#include "ops/per_token_group_quant/swiglu_row_cpu.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/grouped_swiglu/grouped_swiglu_cpu.cpp"
#include "hwy/foreach_target.h"
// after foreach_target.h
#include "backends/cpu/simd.inl"
#include "hwy/highway.h"
#include "ops/swiglu/silu_cpu.inl"

HWY_BEFORE_NAMESPACE();
namespace musaic {
namespace HWY_NAMESPACE {

// x: `width` gates, then as many factors.
void SwigluRow(const float* x, int64_t width, float* out) {
  const float* up = x + width;
  int64_t i = 0;
  for (; i + static_cast<int64_t>(lanes()) <= width; i += lanes())
    store(hn::Mul(silu_of(load(x + i)), load(up + i)), out + i);
  const auto left = static_cast<size_t>(width - i);
  if (left > 0)
    store_first(hn::Mul(silu_of(load_first(x + i, left)), load_first(up + i, left)), out + i, left);
}

}  // namespace HWY_NAMESPACE
}  // namespace musaic
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace musaic {
namespace {

HWY_EXPORT(SwigluRow);

ExpertRowsCpu groups_of(const KernelCall& call) {
  return ExpertRowsCpu::of({}, call.inputs[1], call.inputs[2]);
}

void run_grouped_swiglu(const KernelCall& call) {
  const FloatRows x = FloatRows::of(call.inputs[0]), out = FloatRows::of(call.outputs[0]);
  cpu_stream(call.stream).launch([x, out, groups = groups_of(call)](const Worker& worker) {
    groups.for_each_row(worker, [&](int64_t row) {
      HWY_DYNAMIC_DISPATCH(SwigluRow)(x.row(row), out.width, out.row(row));
    });
  });
}

void run_grouped_swiglu_quant(const KernelCall& call) {
  const FloatRows x = FloatRows::of(call.inputs[0]), scales = FloatRows::of(call.outputs[1]);
  const auto q = DenseRows<uint8_t>::of(call.outputs[0]);
  cpu_stream(call.stream).launch([x, q, scales, groups = groups_of(call)](const Worker& worker) {
    groups.for_each_row(worker, [&](int64_t row) {
      quantize_swiglu_row_fp8(x.row(row), q.width, q.row(row), scales.row(row));
    });
  });
}

}  // namespace

void add_grouped_swiglu_cpu(OpRegistry& registry) {
  registry.add_kernel("musaic::grouped_swiglu",
                      {.name = "grouped_swiglu_cpu", .device_type = "cpu", .run = run_grouped_swiglu});
  registry.add_kernel(
      "musaic::grouped_swiglu_quant_fp8",
      {.name = "grouped_swiglu_quant_fp8_cpu", .device_type = "cpu", .run = run_grouped_swiglu_quant});
}

}  // namespace musaic
#endif
