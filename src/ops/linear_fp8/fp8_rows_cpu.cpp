#include "ops/linear_fp8/fp8_rows_cpu.h"

#include <algorithm>

#include "backends/cpu/highway_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/linear_fp8/fp8_rows_cpu.cpp"
#include "hwy/foreach_target.h"
// after foreach_target.h
#include "backends/cpu/simd.inl"
#include "hwy/highway.h"
#include "ops/per_token_group_quant/f8_cpu.inl"

HWY_BEFORE_NAMESPACE();
namespace musaic {
namespace HWY_NAMESPACE {

void ExpandRow(const Fp8RowsCpu& rows, int64_t index, float* out) {
  constexpr int64_t kGroup = Fp8RowsCpu::kGroup;
  const uint8_t* q = rows.q + index * rows.width;
  const float* scale = rows.scale + index * rows.groups();
  for (int64_t i = 0; i < rows.width; i += kGroup)
    expand_f8(q + i, std::min(kGroup, rows.width - i), scale[i / kGroup], out + i);
}

}  // namespace HWY_NAMESPACE
}  // namespace musaic
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace musaic {
namespace {

HWY_EXPORT(ExpandRow);

}  // namespace

void expand_fp8_row(const Fp8RowsCpu& rows, int64_t index, float* out) {
  HWY_DYNAMIC_DISPATCH(ExpandRow)(rows, index, out);
}

}  // namespace musaic
#endif
