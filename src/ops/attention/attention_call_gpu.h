#pragma once

#include "ir/op.h"
#include "ops/attention/attention_matrix_gpu.h"

// Calls and queries of ops with attention as an AttentionCall.
namespace musaic {

// Where an op has these among its inputs: the query; the caches; query_start, lengths, page table and number
// of sequences.
struct AttentionInputs {
  size_t query;
  size_t key_cache;
  size_t query_start;
};

inline bool is_multiple_of_4(const Dim& dim) {
  return dim.is_constant() && dim.constant() % 4 == 0;
}

// Whether launch_attention_matrix takes new rows for this query: key, value and cos_sin stand behind it.
bool attends_to_new_rows(const KernelQuery& query, const AttentionInputs& inputs);

// What steps of few rows keep of each row: a number of spans, and of each span a maximum, a weight and the
// values.
Dim attention_workspace_bytes(const KernelQuery& query, const AttentionInputs& inputs);

// Without `out` and the workspace.
AttentionCall attention_call(const KernelCall& call, const AttentionInputs& inputs);
// REQUIRES: key, value, cos_sin and slots stand behind the query.
NewRows new_rows(const KernelCall& call, const AttentionInputs& inputs);

}  // namespace musaic
