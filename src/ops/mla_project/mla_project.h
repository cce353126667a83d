#pragma once

#include "ir/builder.h"

namespace musaic {

class OpRegistry;

// kv_b and its scales as in ops/mla_attention; nope = kv_b's rows a head less v_head_dim. All rows dense,
// float32. Pad rows are neither read nor written; a row does not depend on the others.

// musaic::mla_absorb_query. [tokens, heads · (nope + rope)] → [tokens, heads · (rank + rope)]: a head's first
// part times its key rows of kv_b, so that it can meet the latents themselves; the rotated part stays.
Value mla_absorb_query(Value query, Value kv_b, Value kv_b_scale, int num_heads, int v_head_dim);

// musaic::mla_expand_values. [tokens, heads · rank] → [tokens, heads · v]: what a head attended to, through
// its value rows of kv_b.
Value mla_expand_values(Value attended, Value kv_b, Value kv_b_scale, int num_heads, int v_head_dim);

void define_mla_project(OpRegistry& registry);
void add_mla_project_cpu(OpRegistry& registry);
void add_mla_project_gpu(OpRegistry& registry);

}  // namespace musaic
