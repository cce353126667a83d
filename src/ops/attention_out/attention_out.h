#pragma once

#include "ops/attention/rope_attention.h"

namespace musaic {

class OpRegistry;

struct AttentionOutResults {
  Value residual;
  Value key_cache;
  Value value_cache;
};

// musaic::attention_out_, defined where GPU kernels are. musaic::rope_attention, and its rows through the
// output projection onto the residual, in place: residual ← residual + out · weightᵀ, f32 [tokens, hidden],
// as musaic::linear_add_ with `rounds_x` computes it. weight: [hidden, num_heads · head_dim], bf16. Where a
// kernel computes both in one launch, a row's bits also depend on whether its step has few rows.
AttentionOutResults attention_out_(Value residual, const RopeAttentionArguments& arguments, Value weight);

void define_attention_out(OpRegistry& registry);
void add_attention_out_sm90(OpRegistry& registry);

}  // namespace musaic
