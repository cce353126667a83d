// One block of musaic::quantize_q8, shared by the kernels that quantize: include like backends/cpu/simd.inl.

#if defined(MUSAIC_OPS_QUANTIZE_BLOCK_CPU) == defined(HWY_TARGET_TOGGLE)
#ifdef MUSAIC_OPS_QUANTIZE_BLOCK_CPU
#undef MUSAIC_OPS_QUANTIZE_BLOCK_CPU
#else
#define MUSAIC_OPS_QUANTIZE_BLOCK_CPU
#endif

#include <cstdint>

#include "hwy/highway.h"
#include "ops/quantize/quantized_rows_cpu.h"

HWY_BEFORE_NAMESPACE();
namespace musaic {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Block number `block` of all rows' blocks: 32 values of `x` into q, scale and sums.
HWY_INLINE void quantize_block(const float* x, const QuantizedRowsOut& out, int64_t block) {
  constexpr size_t kLanes = 8;
  constexpr size_t kVectors = kQuantizedBlock / kLanes;
  constexpr float kLargest = 127;
  const hn::FixedTag<float, kLanes> d;
  const hn::RebindToSigned<decltype(d)> di;
  const hn::Rebind<int16_t, decltype(d)> d16;
  const hn::Rebind<int8_t, decltype(d)> d8;
  auto largest = hn::Abs(hn::LoadU(d, x));
  for (size_t i = 1; i < kVectors; ++i) largest = hn::Max(largest, hn::Abs(hn::LoadU(d, x + i * kLanes)));
  const float absmax = hn::GetLane(hn::MaxOfLanes(d, largest));
  const auto inverse = hn::Set(d, absmax > 0 ? kLargest / absmax : 0.0f);
  auto total = hn::Zero(di);
  int8_t* q = out.q + block * kQuantizedBlock;
  for (size_t i = 0; i < kVectors; ++i) {
    const auto rounded = hn::NearestInt(hn::Mul(hn::LoadU(d, x + i * kLanes), inverse));
    total = hn::Add(total, rounded);
    hn::StoreU(hn::DemoteTo(d8, hn::DemoteTo(d16, rounded)), d8, q + i * kLanes);
  }
  out.scale[block] = absmax / kLargest;
  out.sums[block] = out.scale[block] * static_cast<float>(hn::GetLane(hn::SumOfLanes(di, total)));
}

}  // namespace HWY_NAMESPACE
}  // namespace musaic
HWY_AFTER_NAMESPACE();

#endif
