#pragma once

#include <utility>

#include "ir/builder.h"

namespace musaic {

class OpRegistry;
struct CallCost;
struct CostQuery;
struct FakeCall;

struct RopeLatentWriteArguments {
  Value query;     // [tokens, heads · head_dim]  f32, dense rows; the last r values of a head are rotated
  Value latent;    // [tokens, rank]  f32, dense rows
  Value rope_key;  // [tokens, r]  f32, dense rows, not yet rotated; shared by the heads
  Value cos_sin;   // [tokens, r]  f32 of rope_cos_sin
  Value slots;     // [tokens]  i32, page · page_size + offset; no two real rows share one
  Value cache;     // [pages, 1, page_size, rank + r]  f32, f16 or bf16, contiguous
  int head_dim = 0;
  bool interleaved = true;
};

// musaic::rope_latent_write. Rotates the query in place and stores (latent, rotated rope_key) of every token
// in the paged cache; returns the new {query, cache}. Stored values round to nearest even. Pairs as in
// musaic::rope_. Pad rows are neither read nor written.
std::pair<Value, Value> rope_latent_write(const RopeLatentWriteArguments& arguments);

// The checks and the cost of its arguments.
void expect_latent_write(const FakeCall& call);
void cost_latent_write(const CostQuery& query, CallCost& cost);

void define_latent_write(OpRegistry& registry);
void add_latent_write_cpu(OpRegistry& registry);
void add_latent_write_gpu(OpRegistry& registry);

}  // namespace musaic
