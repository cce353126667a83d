#pragma once

#include "ir/builder.h"

namespace musaic {

struct PagedAttentionArguments {
  Value query;          // [tokens, num_heads · head_dim]  f32, dense rows
  Value key_cache;      // [pages, kv_heads, page_size, head_dim]  f32, f16, bf16 or (on a CPU) f8e4m3
  Value value_cache;    // like key_cache
  Value query_start;    // [sequences + 1]  i32: sequence s has the rows [query_start[s], query_start[s + 1])
  Value kv_lengths;     // [sequences]  i32: tokens in the cache, this step's included
  Value page_table;     // [sequences, max_pages]  i32: the page of positions p · page_size ...
  Value num_sequences;  // [1]  i32: how many leading sequences are real
  int num_heads = 0;
  double scale = 0;  // of the scores before the softmax
};

// musaic::paged_attention. Causal attention over a paged cache, any mixture of prefill chunks and decode
// rows: row j of a sequence with n rows is at position kv_length - n + j and sees the positions up to its
// own. Returns f32 [tokens, num_heads · head_dim]. Query head h reads key head h / (num_heads / kv_heads).
// page_size and head_dim are multiples of 8, head_dim at most 256. Softmax and sums in float32 (a kernel may
// round what meets a bf16 cache to bf16), over blocks of positions that do not depend on the step: a row's
// bits depend on its sequence only, not on chunking or on neighbours. Reads no unused pages and page-table
// entries, writes no rows that belong to no sequence.
Value paged_attention(const PagedAttentionArguments& arguments);

void define_attention(OpRegistry& registry);
void add_attention_cpu(OpRegistry& registry);
void add_attention_gpu(OpRegistry& registry);

}  // namespace musaic
