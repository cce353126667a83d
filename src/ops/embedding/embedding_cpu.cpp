#include "backends/cpu/cpu_stream.h"
#include "backends/cpu/rows.h"
#include "base/check.h"
#include "ir/registry.h"
#include "ops/embedding/embedding.h"
#include "tensor/dequantize.h"

namespace musaic {
namespace {

void run_embedding(const KernelCall& call) {
  const Tensor& weight = call.inputs[0];
  const std::byte* rows = weight.as<std::byte>();
  const DType dtype = weight.dtype;
  const int64_t vocab = weight.shape[0];
  const size_t row_bytes = byte_size(dtype, weight.shape[1]);
  const int32_t* indices = call.inputs[1].as<int32_t>();
  const FloatRows out = FloatRows::of(call.outputs[0]);
  const int32_t* live_rows = call.live_rows;
  cpu_stream(call.stream).launch([=](const Worker& worker) {
    const IndexRange range = share_of(worker, live_count(live_rows, out.outer));
    for (int64_t i = range.begin; i < range.end; ++i) {
      const int64_t index = indices[i];
      CHECK(index >= 0 && index < vocab, "embedding: index {} of {} rows", index, vocab);
      dequantize_row(dtype, rows + static_cast<size_t>(index) * row_bytes, out.row(i), out.width);
    }
  });
}

}  // namespace

void add_embedding_cpu(OpRegistry& registry) {
  registry.add_kernel("aten::embedding",
                      {.name = "embedding_cpu", .device_type = "cpu", .run = run_embedding});
}

}  // namespace musaic
