// One block of musaic::quantize_q8, shared by the kernels that quantize: include like backends/cpu/simd.inl.

#if defined(MUSAIC_OPS_QUANTIZE_BLOCK_CPU) == defined(HWY_TARGET_TOGGLE)
#ifdef MUSAIC_OPS_QUANTIZE_BLOCK_CPU
#undef MUSAIC_OPS_QUANTIZE_BLOCK_CPU
#else
#define MUSAIC_OPS_QUANTIZE_BLOCK_CPU
#endif

#include <cstdint>

#include "backends/cpu/simd.inl"
#include "hwy/highway.h"
#include "ops/quantize/quantized_rows_cpu.h"

HWY_BEFORE_NAMESPACE();
namespace musaic {
namespace HWY_NAMESPACE {

// One block's values.
struct BlockVectors {
  FloatVector at[kQuantizedBlock / lanes()];
};
inline constexpr size_t kBlockVectors = kQuantizedBlock / lanes();

// Block number `block` of all rows' blocks: 32 values into q, scale and sums.
HWY_INLINE void quantize_block(const BlockVectors& x, const QuantizedRowsOut& out, int64_t block) {
  constexpr float kLargest = 127;
  const FloatTag d;
  const hn::RebindToSigned<FloatTag> di;
  const hn::Rebind<int8_t, FloatTag> d8;
  auto largest = hn::Abs(x.at[0]);
  HWY_UNROLL(8)
  for (size_t i = 1; i < kBlockVectors; ++i) largest = hn::Max(largest, hn::Abs(x.at[i]));
  const float absmax = hn::GetLane(hn::MaxOfLanes(d, largest));
  const auto inverse = hn::Set(d, absmax > 0 ? kLargest / absmax : 0.0f);
  auto total = hn::Zero(di);
  int8_t* q = out.q + block * kQuantizedBlock;
  HWY_UNROLL(8)
  for (size_t i = 0; i < kBlockVectors; ++i) {
    const auto rounded = hn::NearestInt(hn::Mul(x.at[i], inverse));
    total = hn::Add(total, rounded);
    hn::StoreU(hn::DemoteTo(d8, rounded), d8, q + i * lanes());
  }
  const float scale = absmax / kLargest;
  out.scale[block] = scale;
  out.sums[block] = scale * static_cast<float>(hn::GetLane(hn::SumOfLanes(di, total)));
}

HWY_INLINE void quantize_block(const float* x, const QuantizedRowsOut& out, int64_t block) {
  BlockVectors values;
  HWY_UNROLL(8)
  for (size_t i = 0; i < kBlockVectors; ++i) values.at[i] = load(x + i * lanes());
  quantize_block(values, out, block);
}

}  // namespace HWY_NAMESPACE
}  // namespace musaic
HWY_AFTER_NAMESPACE();

#endif
