#include "backends/cpu/cpu_stream.h"
#include "backends/cpu/highway_targets.h"
#include "backends/cpu/rows.h"
#include "ir/registry.h"
#include "ops/quantize/quantize.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/quantize/quantize_cpu.cpp"
#include "hwy/foreach_target.h"
// after foreach_target.h
#include "hwy/highway.h"

#ifndef MUSAIC_OPS_QUANTIZE_CPU
#define MUSAIC_OPS_QUANTIZE_CPU
namespace musaic {

struct QuantizeWork {
  FloatRows x;
  int8_t* q;
  float* scale;
  float* sums;
  int64_t blocks;  // of one row
  const int32_t* live_rows;
};

}  // namespace musaic
#endif

HWY_BEFORE_NAMESPACE();
namespace musaic {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

constexpr size_t kLanes = 8;
constexpr size_t kVectors = QuantizedRows::kBlock / kLanes;
constexpr float kLargest = 127;

void quantize_block(const float* x, int8_t* q, float* scale, float* sum) {
  const hn::FixedTag<float, kLanes> d;
  const hn::RebindToSigned<decltype(d)> di;
  const hn::Rebind<int16_t, decltype(d)> d16;
  const hn::Rebind<int8_t, decltype(d)> d8;
  auto largest = hn::Abs(hn::LoadU(d, x));
  for (size_t i = 1; i < kVectors; ++i) largest = hn::Max(largest, hn::Abs(hn::LoadU(d, x + i * kLanes)));
  const float absmax = hn::GetLane(hn::MaxOfLanes(d, largest));
  const auto inverse = hn::Set(d, absmax > 0 ? kLargest / absmax : 0.0f);
  auto total = hn::Zero(di);
  for (size_t i = 0; i < kVectors; ++i) {
    const auto rounded = hn::NearestInt(hn::Mul(hn::LoadU(d, x + i * kLanes), inverse));
    total = hn::Add(total, rounded);
    hn::StoreU(hn::DemoteTo(d8, hn::DemoteTo(d16, rounded)), d8, q + i * kLanes);
  }
  *scale = absmax / kLargest;
  *sum = *scale * static_cast<float>(hn::GetLane(hn::SumOfLanes(di, total)));
}

void quantize_blocks(const QuantizeWork& work, IndexRange range) {
  for (int64_t i = range.begin; i < range.end; ++i) {
    const float* x = work.x.row(i / work.blocks) + i % work.blocks * QuantizedRows::kBlock;
    quantize_block(x, work.q + i * QuantizedRows::kBlock, work.scale + i, work.sums + i);
  }
}

}  // namespace

void QuantizeBlocks(const QuantizeWork& work, IndexRange range) {
  quantize_blocks(work, range);
}

}  // namespace HWY_NAMESPACE
}  // namespace musaic
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace musaic {
namespace {

HWY_EXPORT(QuantizeBlocks);

void run_quantize_q8(const KernelCall& call) {
  const QuantizeWork work = {.x = FloatRows::of(call.inputs[0]),
                             .q = call.outputs[0].as<int8_t>(),
                             .scale = call.outputs[1].as<float>(),
                             .sums = call.outputs[2].as<float>(),
                             .blocks = call.outputs[1].shape[1],
                             .live_rows = call.live_rows};
  cpu_stream(call.stream).launch([work](const Worker& worker) {
    const int64_t rows = live_count(work.live_rows, work.x.outer);
    HWY_DYNAMIC_DISPATCH(QuantizeBlocks)(work, share_of(worker, rows * work.blocks));
  });
}

}  // namespace

void add_quantize_cpu(OpRegistry& registry) {
  registry.add_kernel("musaic::quantize_q8",
                      {.name = "quantize_q8_cpu", .device_type = "cpu", .run = run_quantize_q8});
}

}  // namespace musaic
#endif
