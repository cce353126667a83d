#include "backends/cpu/cpu_stream.h"
#include "backends/cpu/highway_targets.h"
#include "backends/cpu/rows.h"
#include "ir/registry.h"
#include "ops/norm_quantize/norm_quantize.h"
#include "ops/quantize/quantized_rows_cpu.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/norm_quantize/norm_quantize_cpu.cpp"
#include "hwy/foreach_target.h"
// after foreach_target.h
#include "backends/cpu/simd.inl"
#include "hwy/highway.h"
#include "ops/quantize/quantize_block_cpu.inl"
#include "ops/rms_norm/rms_norm_cpu.inl"

#ifndef MUSAIC_OPS_NORM_QUANTIZE_CPU
#define MUSAIC_OPS_NORM_QUANTIZE_CPU
namespace musaic {

// Addresses of one call. `residual.data` is null where nothing is added.
struct NormQuantizeWork {
  FloatRows x;
  FloatRows residual;
  QuantizedRowsOut out;
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

// The normed row lives a block at a time, in registers.
template <class W>
void quantize_normed(const float* x, const W* weight, float factor, const QuantizedRowsOut& out,
                     int64_t row) {
  BlockVectors normed;
  const FloatVector scale = hn::Set(FloatTag(), factor);
  for (int64_t block = 0; block < out.blocks; ++block) {
    const int64_t first = block * kQuantizedBlock;
    HWY_UNROLL(8)
    for (size_t i = 0; i < kBlockVectors; ++i) {
      const int64_t at = first + static_cast<int64_t>(i * lanes());
      normed.at[i] = hn::Mul(hn::Mul(load(x + at), scale), load(weight + at));
    }
    quantize_block(normed, out, row * out.blocks + block);
  }
}

template <class W>
void norm_quantize_rows(const NormQuantizeWork& work, IndexRange range) {
  const size_t n = static_cast<size_t>(work.x.width);
  const float* no_extra = nullptr;
  for (int64_t i = range.begin; i < range.end; ++i) {
    const bool adds = work.residual.data != nullptr;
    const float* source = adds ? work.residual.row(i) : work.x.row(i);
    const float squares =
        adds ? add_and_sum_squares(work.x.row(i), work.residual.row(i), no_extra, n) : sum_squares(source, n);
    const auto* weight = static_cast<const W*>(work.weight);
    quantize_normed(source, weight, norm_factor(squares, n, work.eps), work.out, i);
  }
}

void NormQuantizeRows(const NormQuantizeWork& work, IndexRange range) {
  switch (work.weight_dtype) {
    case DType::kF16:
      return norm_quantize_rows<hwy::float16_t>(work, range);
    case DType::kBF16:
      return norm_quantize_rows<hwy::bfloat16_t>(work, range);
    default:
      return norm_quantize_rows<float>(work, range);
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace musaic
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace musaic {
namespace {

HWY_EXPORT(NormQuantizeRows);

void launch(const KernelCall& call, const FloatRows& residual, const Tensor& weight) {
  const NormQuantizeWork work = {.x = FloatRows::of(call.inputs[0]),
                                 .residual = residual,
                                 .out = QuantizedRowsOut::of(call.outputs),
                                 .weight = weight.data,
                                 .weight_dtype = weight.dtype,
                                 .eps = static_cast<float>(call.attributes.get_float("eps")),
                                 .live_rows = call.live_rows};
  cpu_stream(call.stream).launch([work](const Worker& worker) {
    const int64_t rows = live_count(work.live_rows, work.x.outer);
    HWY_DYNAMIC_DISPATCH(NormQuantizeRows)(work, share_of(worker, rows));
  });
}

void run_norm_quantize(const KernelCall& call) {
  launch(call, {}, call.inputs[1]);
}

void run_add_norm_quantize(const KernelCall& call) {
  launch(call, FloatRows::of(call.inputs[1]), call.inputs[2]);
}

}  // namespace

void add_norm_quantize_cpu(OpRegistry& registry) {
  registry.add_kernel("musaic::rms_norm_quantize_q8",
                      {.name = "rms_norm_quantize_q8_cpu", .device_type = "cpu", .run = run_norm_quantize});
  registry.add_kernel(
      "musaic::add_rms_norm_quantize_q8",
      {.name = "add_rms_norm_quantize_q8_cpu", .device_type = "cpu", .run = run_add_norm_quantize});
}

}  // namespace musaic
#endif
