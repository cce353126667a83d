#include "ops/attention/attention_gpu.h"

#include "backends/gpu/gpu_stream.h"
#include "ir/registry.h"
#include "ops/attention/attention.h"
#include "ops/row_queries.h"

namespace musaic {
namespace {

constexpr double kLog2E = 1.4426950408889634;

bool supports_paged_attention(const KernelQuery& query) {
  return query.inputs[0]->dtype == DType::kF32 && has_wide_cache(query, 1);
}

// What steps of few rows keep of each row: a number of spans, and of each span a maximum, a weight and the
// values.
Dim workspace_bytes(const KernelQuery& query) {
  const Dim& head_dim = query.inputs[1]->dim(3);
  const Dim spans = ceil_div(query.inputs[5]->dim(1) * query.inputs[1]->dim(2), kAttentionSpan);
  const Dim rows = min(query.inputs[0]->dim(0), kMaxSplitTokens) * query.attributes.get_int("num_heads");
  return rows * (spans * (head_dim + 2) + 1) * static_cast<int64_t>(sizeof(float));
}

void run_paged_attention(const KernelCall& call) {
  const auto in = call.inputs;
  const Shape& cache = in[1].shape;
  const int num_heads = static_cast<int>(call.attributes.get_int("num_heads"));
  const int64_t positions = in[5].shape[1] * cache[2];
  GpuStream& stream = gpu_stream(call.stream);
  launch_paged_attention({.query = in[0].as<const float>(),
                          .out = call.outputs[0].as<float>(),
                          .query_stride = in[0].strides[0],
                          .out_stride = call.outputs[0].strides[0],
                          .key_cache = in[1].as<const uint8_t>(),
                          .value_cache = in[2].as<const uint8_t>(),
                          .cache_dtype = in[1].dtype,
                          .query_start = in[3].as<const int32_t>(),
                          .kv_lengths = in[4].as<const int32_t>(),
                          .page_table = in[5].as<const int32_t>(),
                          .num_sequences = in[6].as<const int32_t>(),
                          .tokens = in[0].shape[0],
                          .sequences = in[4].shape[0],
                          .max_pages = in[5].shape[1],
                          .max_spans = static_cast<int>((positions + kAttentionSpan - 1) / kAttentionSpan),
                          .num_heads = num_heads,
                          .kv_heads = static_cast<int>(cache[1]),
                          .group_size = num_heads / static_cast<int>(cache[1]),
                          .page_size = static_cast<int>(cache[2]),
                          .head_dim = static_cast<int>(cache[3]),
                          .scale = static_cast<float>(call.attributes.get_float("scale") * kLog2E),
                          .workspace = call.workspace.as<float>()},
                         stream.handle());
  stream.check_launch();
}

}  // namespace

void add_attention_gpu(OpRegistry& registry) {
  registry.add_kernel("musaic::paged_attention", {.name = "paged_attention_gpu",
                                                  .device_type = kGpuDeviceType,
                                                  .supports = supports_paged_attention,
                                                  .run = run_paged_attention,
                                                  .workspace_bytes = workspace_bytes});
}

}  // namespace musaic
