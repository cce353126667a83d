#pragma once

#include "ir/builder.h"

namespace musaic {

class OpRegistry;
struct CallCost;
struct CostQuery;
struct FakeCall;

// What both forms of multi-head latent attention over a paged cache read.
struct MlaArguments {
  Value query;          // f32, dense rows; its width is the form's
  Value cache;          // [pages, 1, page_size, rank + rope]  f32, f16 or bf16: latent, then rotated key
  Value query_start;    // [sequences + 1]  i32: sequence s has the rows [query_start[s], query_start[s + 1])
  Value kv_lengths;     // [sequences]  i32: tokens in the cache, this step's included
  Value page_table;     // [sequences, max_pages]  i32: the page of positions p · page_size ...
  Value num_sequences;  // [1]  i32: how many leading sequences are real
  int num_heads = 0;
  double scale = 0;  // of the scores before the softmax
};

// Both are causal attention as musaic::paged_attention: row j of a sequence with n rows is at position
// kv_length - n + j and sees the positions up to its own. Softmax and sums in float32, over blocks of
// positions that do not depend on the step: a row's bits depend on its sequence only, not on chunking or on
// neighbours (but on the form). Neither reads unused pages and page-table entries nor writes rows that belong
// to no sequence.

// musaic::mla_expanded_attention. Keys and values of every head are made from the cached latents, block of
// positions by block: for steps with many rows a sequence.
//   query       [tokens, heads · (nope + rope)]
//   kv_b        [heads · (nope + v), rank]  f32, f16, bf16, or f8e4m3 with kv_b_scale as in
//   musaic::linear_fp8 result      [tokens, heads · v]  f32
// A head's key is kv_b's first nope rows times the latent, then the rotated key; its value the other v rows
// times the latent. In FP8 the latents are quantized per group of 128 before, as musaic::linear_fp8's rows
// are.
Value mla_expanded_attention(const MlaArguments& arguments, Value kv_b, Value kv_b_scale = {});

// musaic::mla_absorbed_attention. The heads attend to the latents themselves: for steps with few rows a
// sequence.
//   query       [tokens, heads · (rank + rope)]  of musaic::mla_absorb_query
//   result      [tokens, heads · rank]  f32, for musaic::mla_expand_values
Value mla_absorbed_attention(const MlaArguments& arguments, int rank);

inline constexpr const char* kMlaBreakReason =
    "its work depends on how long each sequence is, which no recorded launch can know";

// Which arguments of an op are the paged cache, and where sequences lie in it: in the order of MlaArguments.
struct MlaPages {
  int cache;
  int query_start;

  constexpr int kv_lengths() const { return query_start + 1; }
  constexpr int page_table() const { return query_start + 2; }
  constexpr int num_sequences() const { return query_start + 3; }
};
// Whatever size query_start has.
void expect_pages(const FakeCall& call, const MlaPages& pages);
// What absorbed attention reads of them; returns its operations. The op's first argument has its rows.
double cost_absorbed_pages(const CostQuery& query, const MlaPages& pages, int64_t rank, CallCost& cost);

// The checks and the cost of the expanded form's arguments; returns v.
int64_t expect_expanded_attention(const FakeCall& call);
void cost_expanded_attention(const CostQuery& query, CallCost& cost);
// The same of the absorbed form's.
void expect_absorbed_attention(const FakeCall& call);
void cost_absorbed_attention(const CostQuery& query, int64_t rank, CallCost& cost);

void define_mla_attention(OpRegistry& registry);
void add_mla_attention_cpu(OpRegistry& registry);
void add_mla_attention_gpu(OpRegistry& registry);

}  // namespace musaic
