#pragma once

#include "ir/builder.h"

namespace musaic {

class OpRegistry;
struct FakeCall;
struct KernelCall;

struct MoeGateArguments {
  Value logits;  // [tokens, experts]  f32, dense rows: the router's
  int top_k = 0;
  int num_groups = 1;        // the experts are so many groups next to each other;
  int top_groups = 1;        // only the so many groups whose best expert is best may be chosen from
  bool renormalize = false;  // the chosen weights add up to 1
  double scale = 1;          // of the weights in the end
};

struct ExpertChoice {
  Value weights;  // [tokens, top_k]  f32
  Value experts;  // [tokens, top_k]  i32
};

// musaic::moe_gate. The top_k experts of every token by softmax over all experts in float32, best first; of
// equals the first. Pad rows are neither read nor written. REQUIRES: finite values.
ExpertChoice moe_gate(const MoeGateArguments& arguments);

// The arguments of a call that chooses experts, logits first; the shape of the choice, [tokens, top_k].
DimShape expect_moe_gate(const FakeCall& call);

void define_moe_gate(OpRegistry& registry);
void run_moe_gate_cpu(const KernelCall& call);
void add_moe_gate_cpu(OpRegistry& registry);
void add_moe_gate_gpu(OpRegistry& registry);

}  // namespace musaic
