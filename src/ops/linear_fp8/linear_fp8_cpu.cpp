#include "ops/linear_fp8/linear_fp8.h"

#include "backends/cpu/cpu_stream.h"
#include "ir/registry.h"
#include "ops/linear/float_linear_cpu.h"
#include "ops/linear_fp8/fp8_rows_cpu.h"

namespace musaic {
namespace {

// The rows become float32 in the workspace once, the weights task by task.
void run_linear_fp8(const KernelCall& call) {
  const Tensor& weight = call.inputs[2];
  const Tensor& scales = call.inputs[3];
  const Fp8RowsCpu rows = Fp8RowsCpu::of(call.inputs[0], call.inputs[1]);
  const Tensor x = Tensor::contiguous(call.workspace.data, DType::kF32, call.inputs[0].shape);
  const FloatLinearWork work = {.x = FloatRows::of(x),
                                .y = FloatRows::of(call.outputs[0]),
                                .weight = weight.as<const uint8_t>(),
                                .dtype = weight.dtype,
                                .weight_row_bytes = static_cast<size_t>(weight.shape[1]),
                                .bias = BiasRow::of(call.inputs, 4),
                                .live_rows = call.live_rows,
                                .weight_scale = scales.as<const float>(),
                                .scale_columns = scales.shape[1],
                                .part_rows = weight.shape[0]};
  CpuStream& stream = cpu_stream(call.stream);
  stream.launch([=](const Worker& worker) {
    const IndexRange range = share_of(worker, live_count(work.live_rows, work.x.outer));
    for (int64_t row = range.begin; row < range.end; ++row) expand_fp8_row(rows, row, work.x.row(row));
  });
  stream.launch([work](const Worker& worker) { run_float_linear(work, worker); });
}

Dim workspace_bytes(const KernelQuery& query) {
  return elements(query.inputs[0]->shape) * static_cast<int64_t>(sizeof(float));
}

}  // namespace

void add_linear_fp8_cpu(OpRegistry& registry) {
  registry.add_kernel("musaic::linear_fp8", {.name = "linear_fp8_cpu",
                                             .device_type = "cpu",
                                             .run = run_linear_fp8,
                                             .workspace_bytes = workspace_bytes});
}

}  // namespace musaic
