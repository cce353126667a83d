#include "ops/attention/attention_gpu.h"

#include "backends/gpu/gpu_stream.h"
#include "ir/registry.h"
#include "ops/attention/attention.h"
#include "ops/attention/attention_call_gpu.h"
#include "ops/attention/rope_attention.h"
#include "ops/row_queries.h"

namespace musaic {
namespace {

constexpr double kLog2E = 1.4426950408889634;

bool supports_paged_attention(const KernelQuery& query) {
  return query.inputs[0]->dtype == DType::kF32 && has_wide_cache(query, 1);
}

bool supports_matrix(const KernelQuery& query) {
  const Dim& head_dim = query.inputs[1]->dim(3);
  return supports_paged_attention(query) && head_dim.is_constant() &&
         is_multiple_of_4(query.inputs[0]->strides[0]) &&
         attends_by_matrix(query.inputs[1]->dtype, head_dim.constant());
}

constexpr AttentionInputs kPagedInputs = {0, 1, 3};
constexpr AttentionInputs kRopeInputs = {0, 5, 7};

bool supports_rope_attention(const KernelQuery& query) {
  return attends_to_new_rows(query, kRopeInputs);
}

template <const AttentionInputs& inputs>
Dim workspace_bytes(const KernelQuery& query) {
  return attention_workspace_bytes(query, inputs);
}

// Into the op's output.
AttentionCall whole_call(const KernelCall& call, const AttentionInputs& inputs) {
  AttentionCall attention = attention_call(call, inputs);
  attention.out = call.outputs[0].as<float>();
  attention.out_stride = call.outputs[0].strides[0];
  attention.workspace = call.workspace.as<float>();
  return attention;
}

void run_paged_attention(const KernelCall& call) {
  GpuStream& stream = gpu_stream(call.stream);
  launch_paged_attention(whole_call(call, kPagedInputs), stream.handle());
  stream.check_launch();
}

void run_matrix(const KernelCall& call) {
  GpuStream& stream = gpu_stream(call.stream);
  launch_attention_matrix(whole_call(call, kPagedInputs), {}, stream.handle());
  stream.check_launch();
}

void run_rope_attention(const KernelCall& call) {
  GpuStream& stream = gpu_stream(call.stream);
  launch_attention_matrix(whole_call(call, kRopeInputs), new_rows(call, kRopeInputs), stream.handle());
  stream.check_launch();
}

}  // namespace

bool attends_to_new_rows(const KernelQuery& query, const AttentionInputs& inputs) {
  const Meta& cache = *query.inputs[inputs.key_cache];
  for (size_t i = inputs.query; i < inputs.query + 4; ++i) {
    if (!is_multiple_of_4(query.inputs[i]->strides[0])) return false;
  }
  return cache.dim(1).is_constant() && cache.dim(3).is_constant() &&
         attends_by_matrix(cache.dtype, cache.dim(3).constant()) &&
         query.attributes.get_int("num_heads") <= kMaxNewGroup * cache.dim(1).constant();
}

Dim attention_workspace_bytes(const KernelQuery& query, const AttentionInputs& inputs) {
  const Meta& cache = *query.inputs[inputs.key_cache];
  const Dim spans = ceil_div(query.inputs[inputs.query_start + 2]->dim(1) * cache.dim(2), kAttentionSpan);
  const Dim rows =
      min(query.inputs[inputs.query]->dim(0), kMaxSplitTokens) * query.attributes.get_int("num_heads");
  return rows * (spans * (cache.dim(3) + 2) + 1) * static_cast<int64_t>(sizeof(float));
}

AttentionCall attention_call(const KernelCall& call, const AttentionInputs& inputs) {
  const Tensor* in = call.inputs.data();
  const Tensor& query = in[inputs.query];
  const Tensor& keys = in[inputs.key_cache];
  const Tensor& lengths = in[inputs.query_start + 1];
  const Tensor& page_table = in[inputs.query_start + 2];
  const int num_heads = static_cast<int>(call.attributes.get_int("num_heads"));
  const int64_t positions = page_table.shape[1] * keys.shape[2];
  return {.query = query.as<const float>(),
          .query_stride = query.strides[0],
          .key_cache = keys.as<const uint8_t>(),
          .value_cache = in[inputs.key_cache + 1].as<const uint8_t>(),
          .cache_dtype = keys.dtype,
          .query_start = in[inputs.query_start].as<const int32_t>(),
          .kv_lengths = lengths.as<const int32_t>(),
          .page_table = page_table.as<const int32_t>(),
          .num_sequences = in[inputs.query_start + 3].as<const int32_t>(),
          .tokens = query.shape[0],
          .sequences = lengths.shape[0],
          .max_pages = page_table.shape[1],
          .max_spans = static_cast<int>((positions + kAttentionSpan - 1) / kAttentionSpan),
          .num_heads = num_heads,
          .kv_heads = static_cast<int>(keys.shape[1]),
          .group_size = num_heads / static_cast<int>(keys.shape[1]),
          .page_size = static_cast<int>(keys.shape[2]),
          .head_dim = static_cast<int>(keys.shape[3]),
          .scale = static_cast<float>(call.attributes.get_float("scale") * kLog2E)};
}

NewRows new_rows(const KernelCall& call, const AttentionInputs& inputs) {
  const Tensor* in = call.inputs.data() + inputs.query;
  return {.key = in[1].as<const float>(),
          .value = in[2].as<const float>(),
          .key_stride = in[1].strides[0],
          .value_stride = in[2].strides[0],
          .cos_sin = in[3].as<const float>(),
          .cos_sin_stride = in[3].strides[0],
          .slots = in[4].as<const int32_t>(),
          .interleaved = call.attributes.get_bool("interleaved")};
}

void add_attention_gpu(OpRegistry& registry) {
  registry.add_kernel("musaic::paged_attention", {.name = "paged_attention_matrix_gpu",
                                                  .device_type = kGpuDeviceType,
                                                  .supports = supports_matrix,
                                                  .run = run_matrix,
                                                  .workspace_bytes = workspace_bytes<kPagedInputs>});
  registry.add_kernel("musaic::paged_attention", {.name = "paged_attention_gpu",
                                                  .device_type = kGpuDeviceType,
                                                  .supports = supports_paged_attention,
                                                  .run = run_paged_attention,
                                                  .workspace_bytes = workspace_bytes<kPagedInputs>});
}

void add_rope_attention_gpu(OpRegistry& registry) {
  registry.add_kernel("musaic::rope_attention", {.name = "rope_attention_gpu",
                                                 .device_type = kGpuDeviceType,
                                                 .supports = supports_rope_attention,
                                                 .run = run_rope_attention,
                                                 .workspace_bytes = workspace_bytes<kRopeInputs>});
}

}  // namespace musaic
