#pragma once

#include "ir/registry.h"
#include "ops/attention/attention_matrix_gpu.h"
#include "ops/row_queries.h"

// From a kernel's call to what device code takes.
namespace musaic {

inline bool supports_paged_attention(const KernelQuery& query) {
  return query.inputs[0]->dtype == DType::kF32 && has_wide_cache(query, 1);
}

inline bool is_multiple_of_4(const Dim& dim) {
  return dim.is_constant() && dim.constant() % 4 == 0;
}

// Where an op has its query, its caches, its lengths and its page table among its inputs.
struct AttentionInputs {
  size_t query;
  size_t key_cache;
  size_t query_start;
};
inline constexpr AttentionInputs kPagedInputs = {0, 1, 3};
inline constexpr AttentionInputs kRopeInputs = {0, 5, 7};

// What steps of few rows keep of each row: a number of spans, and of each span a maximum, a weight and the
// values.
template <const AttentionInputs& inputs>
Dim attention_workspace_bytes(const KernelQuery& query) {
  const Meta& cache = *query.inputs[inputs.key_cache];
  const Dim spans = ceil_div(query.inputs[inputs.query_start + 2]->dim(1) * cache.dim(2), kAttentionSpan);
  const Dim tokens = query.inputs[inputs.query]->dim(0);
  const Dim rows = min(tokens, kMaxSplitTokens) * query.attributes.get_int("num_heads");
  return rows * (spans * (cache.dim(3) + 2) + 1) * static_cast<int64_t>(sizeof(float));
}

// Into `out`.
inline AttentionCall attention_call(const KernelCall& call, const AttentionInputs& inputs, const Tensor& out,
                                    float* workspace) {
  constexpr double kLog2E = 1.4426950408889634;
  const Tensor* in = call.inputs.data();
  const Tensor& query = in[inputs.query];
  const Tensor& keys = in[inputs.key_cache];
  const Tensor& lengths = in[inputs.query_start + 1];
  const Tensor& page_table = in[inputs.query_start + 2];
  const int num_heads = static_cast<int>(call.attributes.get_int("num_heads"));
  const int64_t positions = page_table.shape[1] * keys.shape[2];
  return {.query = query.as<const float>(),
          .out = out.as<float>(),
          .query_stride = query.strides[0],
          .out_stride = out.strides[0],
          .key_cache = keys.as<const uint8_t>(),
          .value_cache = in[inputs.key_cache + 1].as<const uint8_t>(),
          .cache_dtype = keys.dtype,
          .query_start = in[inputs.query_start].as<const int32_t>(),
          .kv_lengths = lengths.as<const int32_t>(),
          .page_table = page_table.as<const int32_t>(),
          .num_sequences = in[inputs.query_start + 3].as<const int32_t>(),
          .tokens = query.shape[0],
          .sequences = lengths.shape[0],
          .num_pages = keys.shape[0],
          .max_pages = page_table.shape[1],
          .max_spans = static_cast<int>((positions + kAttentionSpan - 1) / kAttentionSpan),
          .num_heads = num_heads,
          .kv_heads = static_cast<int>(keys.shape[1]),
          .group_size = num_heads / static_cast<int>(keys.shape[1]),
          .page_size = static_cast<int>(keys.shape[2]),
          .head_dim = static_cast<int>(keys.shape[3]),
          .scale = static_cast<float>(call.attributes.get_float("scale") * kLog2E),
          .workspace = workspace};
}
inline AttentionCall attention_call(const KernelCall& call, const AttentionInputs& inputs) {
  return attention_call(call, inputs, call.outputs[0], call.workspace.as<float>());
}

// Key, value, cos_sin and slots stand behind the query.
inline bool attends_to_new_rows(const KernelQuery& query, const AttentionInputs& inputs) {
  const Meta& cache = *query.inputs[inputs.key_cache];
  for (size_t i = inputs.query; i < inputs.query + 4; ++i) {
    if (!is_multiple_of_4(query.inputs[i]->strides[0])) return false;
  }
  return cache.dim(1).is_constant() && cache.dim(3).is_constant() &&
         attends_by_matrix(cache.dtype, cache.dim(3).constant()) &&
         query.attributes.get_int("num_heads") <= kMaxNewGroup * cache.dim(1).constant();
}
inline NewRows new_rows(const KernelCall& call, const AttentionInputs& inputs) {
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

}  // namespace musaic
