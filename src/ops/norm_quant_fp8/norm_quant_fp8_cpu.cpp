#include "backends/cpu/cpu_stream.h"
#include "backends/cpu/rows.h"
#include "ir/registry.h"
#include "ops/norm_quant_fp8/norm_quant_fp8.h"
#include "ops/per_token_group_quant/swiglu_row_cpu.h"
#include "ops/rms_norm/rms_norm.h"

namespace musaic {
namespace {

struct QuantizeRowsWork {
  FloatRows x;
  DenseRows<uint8_t> q;
  FloatRows scale;
  const int32_t* live_rows;
};

// The rows that the norm has just written are quantized while they are in a cache.
void run_add_norm_quant(const KernelCall& call) {
  const Tensor arguments[] = {call.inputs[0], call.inputs[1], call.inputs[2], Tensor()};
  run_fused_add_rms_norm_cpu({.inputs = arguments,
                              .outputs = {},
                              .workspace = {},
                              .attributes = call.attributes,
                              .live_rows = call.live_rows,
                              .stream = call.stream});
  const QuantizeRowsWork work = {.x = FloatRows::of(call.inputs[0]),
                                 .q = DenseRows<uint8_t>::of(call.outputs[0]),
                                 .scale = FloatRows::of(call.outputs[1]),
                                 .live_rows = call.live_rows};
  cpu_stream(call.stream).launch([work](const Worker& worker) {
    const IndexRange range = share_of(worker, live_count(work.live_rows, work.x.outer));
    for (int64_t row = range.begin; row < range.end; ++row)
      quantize_row_fp8(work.x.row(row), work.x.width, work.q.row(row), work.scale.row(row));
  });
}

}  // namespace

void add_norm_quant_fp8_cpu(OpRegistry& registry) {
  registry.add_kernel(
      "musaic::add_rms_norm_quant_fp8",
      {.name = "add_rms_norm_quant_fp8_cpu", .device_type = "cpu", .run = run_add_norm_quant});
}

}  // namespace musaic
