#include <algorithm>

#include "backends/cpu/cpu_stream.h"
#include "backends/cpu/highway_targets.h"
#include "backends/cpu/rows.h"
#include "ir/registry.h"
#include "ops/per_token_group_quant/per_token_group_quant.h"
#include "ops/per_token_group_quant/swiglu_row_cpu.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/per_token_group_quant/per_token_group_quant_cpu.cpp"
#include "hwy/foreach_target.h"
// after foreach_target.h
#include "backends/cpu/simd.inl"
#include "hwy/highway.h"
#include "ops/per_token_group_quant/f8_cpu.inl"
#include "ops/swiglu/silu_cpu.inl"

#ifndef MUSAIC_OPS_PER_TOKEN_GROUP_QUANT_CPU
#define MUSAIC_OPS_PER_TOKEN_GROUP_QUANT_CPU
namespace musaic {

// A tensor of [outer, rows, columns], outer 1 for two dimensions; strides in values.
struct PlaneStrides {
  int64_t outer;
  int64_t row;
  int64_t column;

  static PlaneStrides of(const Tensor& tensor) {
    const bool nested = tensor.shape.rank() == 3;
    return {nested ? tensor.strides[0] : 0, tensor.strides[-2], tensor.strides[-1]};
  }
  int64_t at(int64_t plane, int64_t r, int64_t c) const { return plane * outer + r * row + c * column; }
};

struct GroupQuantWork {
  const void* input;
  DType dtype;
  PlaneStrides input_strides;
  uint8_t* q;
  bool is_i8;
  PlaneStrides q_strides;
  void* scales;
  bool packed;  // exponents in i32
  PlaneStrides scale_strides;
  const int32_t* masked_m;
  int64_t planes;
  int64_t rows;    // of one plane
  int64_t width;   // of a quantized row
  int64_t groups;  // the last may be shorter
  int64_t group_size;
  float eps;
  float min;
  float max;
  bool power_of_two;
  bool fuse_silu;
  const int32_t* live_rows;
};

inline constexpr int64_t kMaxGroup = 128;

}  // namespace musaic
#endif

HWY_BEFORE_NAMESPACE();
namespace musaic {
namespace HWY_NAMESPACE {
namespace {

// The group's values, zeros up to whole vectors after them, and their largest magnitude.
template <class T>
float load_group(const T* x, const T* up, size_t n, float* values) {
  FloatVector largest = hn::Zero(FloatTag());
  const auto take = [&](size_t i, FloatVector value, FloatVector factor) {
    if (up != nullptr) value = rounded_to(hn::Mul(silu_of(value), factor), x);
    largest = hn::Max(largest, hn::Abs(value));
    store(value, values + i);
  };
  const FloatVector none = hn::Zero(FloatTag());
  size_t i = 0;
  for (; i + lanes() <= n; i += lanes()) take(i, load(x + i), up == nullptr ? none : load(up + i));
  if (i < n) take(i, load_first(x + i, n - i), up == nullptr ? none : load_first(up + i, n - i));
  return hn::GetLane(hn::MaxOfLanes(FloatTag(), largest));
}

template <bool kI8>
void quantize_values(const float* values, size_t n, float scale, const GroupQuantWork& work, uint8_t* q) {
  const FloatTag d;
  for (size_t i = 0; i < n; i += lanes()) {
    const auto scaled = hn::Div(load(values + i), hn::Set(d, scale));
    const auto held = hn::Max(hn::Set(d, work.min), hn::Min(scaled, hn::Set(d, work.max)));
    HWY_ALIGN uint8_t bytes[lanes()];
    if constexpr (kI8) {
      const hn::Rebind<int8_t, FloatTag> d8;
      hn::StoreU(hn::DemoteTo(d8, hn::NearestInt(held)), d8, reinterpret_cast<int8_t*>(bytes));
    } else {
      const hn::Rebind<uint8_t, FloatTag> d8;
      hn::StoreU(hn::DemoteTo(d8, to_f8e4m3(held)), d8, bytes);
    }
    if (i + lanes() <= n) {
      std::memcpy(q + i, bytes, lanes());
    } else {
      std::memcpy(q + i, bytes, n - i);
    }
  }
}

// The smallest power of two that is no smaller. REQUIRES: positive.
float next_power_of_two(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  const uint32_t power = ((bits >> 23) + ((bits & 0x7FFFFF) != 0)) << 23;
  std::memcpy(&value, &power, sizeof(value));
  return value;
}

void store_scale(const GroupQuantWork& work, int64_t plane, int64_t row, int64_t group, float scale) {
  if (!work.packed) {
    static_cast<float*>(work.scales)[work.scale_strides.at(plane, row, group)] = scale;
    return;
  }
  auto* bytes = static_cast<uint8_t*>(work.scales) + 4 * work.scale_strides.at(plane, row, group / 4);
  uint32_t bits;
  std::memcpy(&bits, &scale, sizeof(bits));
  bytes[group % 4] = static_cast<uint8_t>(bits >> 23);
  const int64_t missing_from = group + 1 == work.groups ? group % 4 + 1 : 4;
  for (int64_t i = missing_from; i < 4; ++i) bytes[i] = 0;
}

template <class T>
void quantize_group(const GroupQuantWork& work, int64_t plane, int64_t row, int64_t group) {
  HWY_ALIGN float values[kMaxGroup];
  const int64_t column = group * work.group_size;
  const size_t n = static_cast<size_t>(std::min(work.group_size, work.width - column));
  const T* x = static_cast<const T*>(work.input) + work.input_strides.at(plane, row, column);
  const T* up = work.fuse_silu ? x + work.width : nullptr;
  float scale = std::max(load_group(x, up, n, values), work.eps) / work.max;
  if (work.power_of_two) scale = next_power_of_two(scale);
  store_scale(work, plane, row, group, scale);
  uint8_t* q = work.q + work.q_strides.at(plane, row, column);
  if (work.is_i8) {
    quantize_values<true>(values, n, scale, work, q);
  } else {
    quantize_values<false>(values, n, scale, work, q);
  }
}

template <class T>
void quantize_groups(const GroupQuantWork& work, IndexRange range) {
  for (int64_t i = range.begin; i < range.end; ++i) {
    const int64_t group = i % work.groups;
    const int64_t row = i / work.groups % work.rows;
    const int64_t plane = i / work.groups / work.rows;
    if (work.masked_m != nullptr && row >= work.masked_m[plane]) continue;
    quantize_group<T>(work, plane, row, group);
  }
}

void QuantizeGroups(const GroupQuantWork& work, IndexRange range) {
  switch (work.dtype) {
    case DType::kF16:
      return quantize_groups<hwy::float16_t>(work, range);
    case DType::kBF16:
      return quantize_groups<hwy::bfloat16_t>(work, range);
    default:
      return quantize_groups<float>(work, range);
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace musaic
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace musaic {
namespace {

HWY_EXPORT(QuantizeGroups);

// Groups to work on: live_rows counts the leading dimension, rows of a matrix or whole experts.
int64_t live_groups(const GroupQuantWork& work, bool nested) {
  if (nested) return live_count(work.live_rows, work.planes) * work.rows * work.groups;
  return live_count(work.live_rows, work.rows) * work.groups;
}

void run_group_quant(const KernelCall& call) {
  const Tensor& input = call.inputs[0];
  const Tensor& q = call.inputs[1];
  const bool nested = input.shape.rank() == 3;
  const int64_t group_size = call.attributes.get_int("group_size");
  const GroupQuantWork work = {.input = input.data,
                               .dtype = input.dtype,
                               .input_strides = PlaneStrides::of(input),
                               .q = static_cast<uint8_t*>(q.data),
                               .is_i8 = q.dtype == DType::kI8,
                               .q_strides = PlaneStrides::of(q),
                               .scales = call.inputs[2].data,
                               .packed = call.inputs[2].dtype == DType::kI32,
                               .scale_strides = PlaneStrides::of(call.inputs[2]),
                               .masked_m = static_cast<const int32_t*>(call.inputs[3].data),
                               .planes = nested ? input.shape[0] : 1,
                               .rows = input.shape[-2],
                               .width = q.shape[-1],
                               .groups = (q.shape[-1] + group_size - 1) / group_size,
                               .group_size = group_size,
                               .eps = static_cast<float>(call.attributes.get_float("eps")),
                               .min = static_cast<float>(call.attributes.get_float("fp8_min")),
                               .max = static_cast<float>(call.attributes.get_float("fp8_max")),
                               .power_of_two = call.attributes.get_bool("scale_ue8m0"),
                               .fuse_silu = call.attributes.get_bool("fuse_silu_and_mul"),
                               .live_rows = call.live_rows};
  cpu_stream(call.stream).launch([work, nested](const Worker& worker) {
    HWY_DYNAMIC_DISPATCH(QuantizeGroups)(work, share_of(worker, live_groups(work, nested)));
  });
}

}  // namespace

namespace {

void quantize_row(const float* x, int64_t width, bool fuse_silu, uint8_t* q, float* scales) {
  GroupQuantWork work = {};
  work.input = x;
  work.dtype = DType::kF32;
  work.input_strides = {0, 0, 1};
  work.q = q;
  work.q_strides = {0, 0, 1};
  work.scales = scales;
  work.scale_strides = {0, 0, 1};
  work.planes = work.rows = 1;
  work.width = width;
  work.group_size = kMaxGroup;
  work.groups = (width + kMaxGroup - 1) / kMaxGroup;
  work.eps = 1e-10f;
  work.min = -448;
  work.max = 448;
  work.fuse_silu = fuse_silu;
  HWY_DYNAMIC_DISPATCH(QuantizeGroups)(work, {0, work.groups});
}

}  // namespace

void quantize_row_fp8(const float* x, int64_t width, uint8_t* q, float* scales) {
  quantize_row(x, width, /*fuse_silu=*/false, q, scales);
}

void quantize_swiglu_row_fp8(const float* x, int64_t width, uint8_t* q, float* scales) {
  quantize_row(x, width, /*fuse_silu=*/true, q, scales);
}

void add_per_token_group_quant_cpu(OpRegistry& registry) {
  registry.add_kernel("sgl_kernel::sgl_per_token_group_quant_8bit_v2",
                      {.name = "per_token_group_quant_cpu", .device_type = "cpu", .run = run_group_quant});
}

}  // namespace musaic
#endif
