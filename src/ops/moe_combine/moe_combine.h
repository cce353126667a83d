#pragma once

#include "ir/builder.h"

namespace musaic {

class OpRegistry;
struct FakeCall;

// musaic::moe_combine. A token's experts' results, weighted and added in the order of its choices.
//   x          [rows, n]  f32, contiguous: grouped rows
//   token_row  [tokens, top_k]  i32: of moe_route
//   weights    [tokens, top_k]  f32
//   addend     [tokens, n]  f32, dense rows: added in the end; may be absent
//   result     [tokens, n]  f32. Pad rows are neither read nor written.
Value moe_combine(Value x, Value token_row, Value weights, Value addend = {});

// The checks of its first four arguments.
void expect_moe_combine(const FakeCall& call);

void define_moe_combine(OpRegistry& registry);
void add_moe_combine_cpu(OpRegistry& registry);
void add_moe_combine_gpu(OpRegistry& registry);

}  // namespace musaic
