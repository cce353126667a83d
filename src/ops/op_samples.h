#pragma once

#include <initializer_list>
#include <vector>

#include "ir/op_sample.h"

namespace musaic {

// The samples of the built-in ops, each in its op's folder (NAME_samples.cpp); OpDef::samples.
std::vector<OpSample> add_samples();
std::vector<OpSample> attention_out_samples();
std::vector<OpSample> embedding_samples();
std::vector<OpSample> empty_rows_samples();
std::vector<OpSample> flatten_samples();
std::vector<OpSample> fused_add_rms_norm_samples();
std::vector<OpSample> fused_swiglu_samples();
std::vector<OpSample> grouped_linear_fp8_samples();
std::vector<OpSample> grouped_linear_samples();
std::vector<OpSample> grouped_swiglu_quant_fp8_samples();
std::vector<OpSample> grouped_swiglu_samples();
std::vector<OpSample> index_select_samples();
std::vector<OpSample> kv_write_samples();
std::vector<OpSample> linear_add_samples();
std::vector<OpSample> linear_fp8_samples();
std::vector<OpSample> linear_q8_samples();
std::vector<OpSample> linear_samples();
std::vector<OpSample> logprobs_samples();
std::vector<OpSample> mla_absorb_query_samples();
std::vector<OpSample> mla_absorbed_attention_samples();
std::vector<OpSample> mla_absorbed_values_fp8_samples();
std::vector<OpSample> mla_decode_attention_fp8_samples();
std::vector<OpSample> mla_expand_values_samples();
std::vector<OpSample> mla_expanded_attention_fp8_samples();
std::vector<OpSample> mla_expanded_attention_samples();
std::vector<OpSample> moe_combine_samples();
std::vector<OpSample> moe_gate_samples();
std::vector<OpSample> moe_route_samples();
std::vector<OpSample> mul_samples();
std::vector<OpSample> paged_attention_samples();
std::vector<OpSample> quantize_q8_samples();
std::vector<OpSample> rms_norm_linear_samples();
std::vector<OpSample> rms_norm_linear_swiglu_samples();
std::vector<OpSample> rms_norm_samples();
std::vector<OpSample> rope_attention_samples();
std::vector<OpSample> rope_cos_sin_samples();
std::vector<OpSample> rope_kv_write_samples();
std::vector<OpSample> rope_latent_write_samples();
std::vector<OpSample> rope_samples();
std::vector<OpSample> sample_samples();
std::vector<OpSample> silu_samples();
std::vector<OpSample> slice_samples();
std::vector<OpSample> unflatten_samples();

// What they share.
inline constexpr std::initializer_list<int64_t> kSampleRows = {0, 1, 2, 7};

// The shape of float rows that a sample tries: dense or with gaps between rows, of two or three dimensions.
struct RowLayout {
  std::string name;  // "7 rows of 33, gaps"
  Shape shape;       // dimension 0 counts rows
  int64_t stride;    // from row to row, in values; 0: dense
};
// Every number of kSampleRows times dense `widths`, and each width once with gaps and once as rows of three
// vectors.
std::vector<RowLayout> row_layouts(std::initializer_list<int64_t> widths);

// Values of the op's rows, uniform in [-scale, scale].
SampleInput sample_rows_of(const RowLayout& layout, uint32_t seed, float scale = 2);
SampleInput sample_rows_of(HostTensor tensor);
// An argument that has nothing to do with rows.
SampleInput sample_fixed(HostTensor tensor);

}  // namespace musaic
