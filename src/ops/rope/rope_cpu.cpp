#include <cmath>

#include "backends/cpu/cpu_stream.h"
#include "backends/cpu/highway_targets.h"
#include "backends/cpu/rows.h"
#include "ir/registry.h"
#include "ops/rope/rope.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/rope/rope_cpu.cpp"
#include "hwy/foreach_target.h"
// after foreach_target.h
#include "hwy/highway.h"
#include "ops/rope/rotate_cpu.inl"

HWY_BEFORE_NAMESPACE();
namespace musaic {
namespace HWY_NAMESPACE {
namespace {

// Rotates every head of one row in place.
void RotateRow(float* x, const float* cos_sin, size_t width, size_t rotated, size_t head_dim,
               bool interleaved) {
  for (size_t head = 0; head < width; head += head_dim)
    rotate_head(x + head, cos_sin, rotated, head_dim, interleaved, x + head);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace musaic
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace musaic {
namespace {

HWY_EXPORT(RotateRow);

void run_rope_cos_sin(const KernelCall& call) {
  const int32_t* positions = call.inputs[0].as<int32_t>();
  const int64_t stride = call.inputs[0].strides[0];
  const float* inv_freq = call.inputs[1].as<float>();
  const int64_t half = call.inputs[1].shape[0];
  const double factor = call.attributes.get_float("attention_factor");
  const FloatRows out = FloatRows::of(call.outputs[0]);
  const int32_t* live_rows = call.live_rows;
  cpu_stream(call.stream).launch([=](const Worker& worker) {
    const IndexRange range = share_of(worker, live_count(live_rows, out.outer));
    for (int64_t i = range.begin; i < range.end; ++i) {
      const double position = positions[i * stride];
      float* row = out.row(i);
      for (int64_t k = 0; k < half; ++k) {
        const double angle = position * inv_freq[k];
        row[k] = static_cast<float>(std::cos(angle) * factor);
        row[half + k] = static_cast<float>(std::sin(angle) * factor);
      }
    }
  });
}

bool supports_rope(const KernelQuery& query) {
  return query.inputs[0]->dtype == DType::kF32;
}

void run_rope(const KernelCall& call) {
  const FloatRows x = FloatRows::of(call.inputs[0]);
  const FloatRows cos_sin = FloatRows::of(call.inputs[1]);
  const size_t head_dim = static_cast<size_t>(call.attributes.get_int("head_dim"));
  const bool interleaved = call.attributes.get_bool("interleaved");
  const int32_t* live_rows = call.live_rows;
  cpu_stream(call.stream).launch([=](const Worker& worker) {
    const IndexRange range = share_of(worker, live_count(live_rows, x.outer));
    for (int64_t i = range.begin; i < range.end; ++i) {
      HWY_DYNAMIC_DISPATCH(RotateRow)
      (x.row(i), cos_sin.row(i), static_cast<size_t>(x.width), static_cast<size_t>(cos_sin.width), head_dim,
       interleaved);
    }
  });
}

}  // namespace

void add_rope_cpu(OpRegistry& registry) {
  registry.add_kernel("musaic::rope_cos_sin",
                      {.name = "rope_cos_sin_cpu", .device_type = "cpu", .run = run_rope_cos_sin});
  registry.add_kernel("musaic::rope_",
                      {.name = "rope_cpu", .device_type = "cpu", .supports = supports_rope, .run = run_rope});
}

}  // namespace musaic
#endif
