#include "backends/cpu/highway_targets.h"
#include "backends/cpu/rows.h"
#include "ir/registry.h"
#include "ops/quantize/quantize.h"
#include "ops/quantize/quantized_rows_cpu.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/quantize/quantize_cpu.cpp"
#include "hwy/foreach_target.h"
// after foreach_target.h
#include "hwy/highway.h"
#include "ops/quantize/quantize_block_cpu.inl"

HWY_BEFORE_NAMESPACE();
namespace musaic {
namespace HWY_NAMESPACE {

void QuantizeBlocks(const FloatRows& x, const QuantizedRowsOut& out, IndexRange range) {
  for (int64_t i = range.begin; i < range.end; ++i)
    quantize_block(x.row(i / out.blocks) + i % out.blocks * kQuantizedBlock, out, i);
}

}  // namespace HWY_NAMESPACE
}  // namespace musaic
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace musaic {
namespace {

HWY_EXPORT(QuantizeBlocks);

void run_quantize_q8(const KernelCall& call) {
  launch_blocks(call, [](const FloatRows& x, const QuantizedRowsOut& out, IndexRange range) {
    HWY_DYNAMIC_DISPATCH(QuantizeBlocks)(x, out, range);
  });
}

}  // namespace

void add_quantize_cpu(OpRegistry& registry) {
  registry.add_kernel("musaic::quantize_q8",
                      {.name = "quantize_q8_cpu", .device_type = "cpu", .run = run_quantize_q8});
}

}  // namespace musaic
#endif
