#include "backends/cpu/cpu_stream.h"
#include "backends/cpu/rows.h"
#include "base/check.h"
#include "ir/registry.h"
#include "ops/embedding/embedding.h"
#include "ops/linear/q8_packing_cpu.h"
#include "ops/linear/q8_panel_rows_cpu.h"
#include "ops/linear/q8_panel_types.h"
#include "tensor/dequantize.h"

namespace musaic {
namespace {

// Enqueues write_row(index, out) for the live rows.
template <class WriteRow>
void launch_rows(const KernelCall& call, const WriteRow& write_row) {
  const int64_t vocab = call.inputs[0].shape[0];
  const int32_t* indices = call.inputs[1].as<int32_t>();
  const FloatRows out = FloatRows::of(call.outputs[0]);
  const int32_t* live_rows = call.live_rows;
  cpu_stream(call.stream).launch([=](const Worker& worker) {
    const IndexRange range = share_of(worker, live_count(live_rows, out.outer));
    for (int64_t i = range.begin; i < range.end; ++i) {
      const int64_t index = indices[i];
      CHECK(index >= 0 && index < vocab, "embedding: index {} of {} rows", index, vocab);
      write_row(index, out.row(i));
    }
  });
}

void run_embedding(const KernelCall& call) {
  const Tensor& weight = call.inputs[0];
  const int64_t width = weight.shape[1];
  launch_rows(call, [rows = weight.as<std::byte>(), dtype = weight.dtype, width,
                     row_bytes = byte_size(weight.dtype, width)](int64_t index, float* out) {
    dequantize_row(dtype, rows + static_cast<size_t>(index) * row_bytes, out, width);
  });
}

// The weight is in the panels of linear_q8, whose head reads it too.
void run_packed_embedding(const KernelCall& call) {
  const Tensor& weight = call.inputs[0];
  launch_rows(call, [panels = weight.as<std::byte>(), width = weight.shape[1],
                     dequantize = dequantize_panel_row(weight.dtype)](int64_t index, float* out) {
    dequantize(panels, index, width, out);
  });
}

template <DType kType>
bool is_type(const KernelQuery& query) {
  return query.inputs[0]->dtype == kType;
}

template <DType kType>
void add_packed_type(OpRegistry& registry) {
  WeightPacking packing = q8_packing(kType);
  packing.input = 0;
  packing.shared_only = true;
  registry.add_kernel("aten::embedding", {.name = "embedding_packed_" + std::string(name(kType)) + "_cpu",
                                          .device_type = "cpu",
                                          .supports = is_type<kType>,
                                          .run = run_packed_embedding,
                                          .packing = packing});
}

}  // namespace

void add_embedding_cpu(OpRegistry& registry) {
  registry.add_kernel("aten::embedding",
                      {.name = "embedding_cpu", .device_type = "cpu", .run = run_embedding});
  for_each_panel_type([&]<DType kType>() { add_packed_type<kType>(registry); });
}

}  // namespace musaic
