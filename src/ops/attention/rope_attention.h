#pragma once

#include "ir/op.h"
#include "ops/attention/attention.h"

namespace musaic {

class OpRegistry;

struct RopeAttentionArguments {
  Value query;    // [tokens, num_heads · head_dim]
  Value key;      // [tokens, kv_heads · head_dim]
  Value value;    // [tokens, kv_heads · head_dim]
  Value cos_sin;  // [tokens, head_dim]
  Value slots;    // [tokens]
  Value key_cache;
  Value value_cache;
  Value query_start;    // [tokens + 1]
  Value kv_lengths;     // [tokens]
  Value page_table;     // [tokens, max_pages]
  Value num_sequences;  // [1]
  int num_heads = 0;
  double scale = 0;
  bool interleaved = false;
};

struct RopeAttentionResults {
  Value out;
  Value key_cache;
  Value value_cache;
};

// musaic::rope_attention, defined where GPU kernels are: musaic::rope_kv_write of all dimensions of a head,
// then musaic::paged_attention, for steps whose sequences have one row each (row s is sequence s). Query, key
// and value stay as they were (the decomposition rotates them in place). Everything but query, key, value and
// cos_sin was written before the step.
RopeAttentionResults rope_attention(const RopeAttentionArguments& arguments);

// For ops that begin with it, whose arguments of this op are those from number `first` on: the checks of its
// fake, its cost, its decomposition.
void expect_rope_attention(const FakeCall& call, int first);
void cost_rope_attention(const CostQuery& query, size_t first, CallCost& cost);
RopeAttentionArguments rope_attention_arguments(std::span<const Value> inputs, const Attributes& attributes);
RopeAttentionResults rope_attention_parts(const RopeAttentionArguments& arguments);

void define_rope_attention(OpRegistry& registry);
void add_rope_attention_gpu(OpRegistry& registry);

}  // namespace musaic
