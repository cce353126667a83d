#include "backends/cpu/highway_targets.h"
#include "backends/cpu/rows.h"
#include "ir/registry.h"
#include "ops/quantize/quantized_rows_cpu.h"
#include "ops/swiglu_quantize/swiglu_quantize.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/swiglu_quantize/swiglu_quantize_cpu.cpp"
#include "hwy/foreach_target.h"
// after foreach_target.h
#include "backends/cpu/simd.inl"
#include "hwy/highway.h"
#include "ops/quantize/quantize_block_cpu.inl"
#include "ops/swiglu/silu_cpu.inl"

HWY_BEFORE_NAMESPACE();
namespace musaic {
namespace HWY_NAMESPACE {

void SwigluQuantizeBlocks(const FloatRows& x, const QuantizedRowsOut& out, IndexRange range) {
  BlockVectors product;
  for (int64_t block = range.begin; block < range.end; ++block) {
    const float* gate = x.row(block / out.blocks) + block % out.blocks * kQuantizedBlock;
    const float* up = gate + x.width / 2;
    HWY_UNROLL(8)
    for (size_t i = 0; i < kBlockVectors; ++i)
      product.at[i] = hn::Mul(silu_of(load(gate + i * lanes())), load(up + i * lanes()));
    quantize_block(product, out, block);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace musaic
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace musaic {
namespace {

HWY_EXPORT(SwigluQuantizeBlocks);

void run_swiglu_quantize(const KernelCall& call) {
  launch_blocks(call, [](const FloatRows& x, const QuantizedRowsOut& out, IndexRange range) {
    HWY_DYNAMIC_DISPATCH(SwigluQuantizeBlocks)(x, out, range);
  });
}

}  // namespace

void add_swiglu_quantize_cpu(OpRegistry& registry) {
  registry.add_kernel("musaic::swiglu_quantize_q8",
                      {.name = "swiglu_quantize_q8_cpu", .device_type = "cpu", .run = run_swiglu_quantize});
}

}  // namespace musaic
#endif
