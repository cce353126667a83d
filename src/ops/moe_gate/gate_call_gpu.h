#pragma once

#include "ir/op.h"
#include "ops/moe_gate/moe_gate_gpu.h"

namespace musaic {

// A call's choice; the experts' place is still missing.
MoeGateCall moe_gate_call(const KernelCall& call, const DeviceRows& logits, const Tensor& weights);
// Of its first input, into its first output.
MoeGateCall moe_gate_call(const KernelCall& call);
// A lane for each choice.
bool has_choices_for_a_warp(const KernelQuery& query);

}  // namespace musaic
