#pragma once

#include "ir/builder.h"

namespace musaic {

class Attributes;
class OpRegistry;
struct FakeCall;
struct FakeOutput;
struct KernelCall;

// How the rows of one expert lie: close together; beginning at multiples of 128 (DeepGEMM's contiguous
// layout); or expert e's at e · tokens (its masked layout).
enum class ExpertLayout { kCompact, kContiguous, kMasked };
const char* name_of(ExpertLayout layout);  // "compact"

// Tokens grouped by the expert that they chose: expert e has the grouped rows [start[e], start[e] +
// count[e]).
struct ExpertRows {
  Value row_token;  // [rows]  i32: the token of a grouped row; rows of no expert are unwritten
  Value token_row;  // [tokens, top_k]  i32: the grouped row of a token's choice
  Value start;      // [experts]  i32
  Value count;      // [experts]  i32
};

// musaic::moe_route. Groups the choices `experts` [tokens, top_k] i32 of moe_gate; an expert's rows are in
// the order of tokens. Rows: tokens · top_k; with kContiguous up to 127 more for each expert that can have
// rows; with kMasked experts · tokens. Pad rows choose nothing: where there are only pad rows, every count is
// 0. REQUIRES: no token chooses an expert twice.
ExpertRows moe_route(Value experts, int num_experts, ExpertLayout layout = ExpertLayout::kCompact);

// Multiples of what an expert's first row is; 0: expert e's is e · tokens. Of a call's attributes.
int64_t start_alignment(const Attributes& attributes);

// row_token, token_row, start and count of choices [tokens, top_k], as the call's layout and alignment say.
std::vector<FakeOutput> route_outputs(const FakeCall& call, const DimShape& choices, int64_t experts);

void define_moe_route(OpRegistry& registry);
void run_moe_route_cpu(const KernelCall& call);
void add_moe_route_cpu(OpRegistry& registry);
void add_moe_route_gpu(OpRegistry& registry);

}  // namespace musaic
