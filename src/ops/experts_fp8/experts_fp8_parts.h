#pragma once

#include "ir/op.h"

// What the definition of musaic::experts_fp8 is made of, for ops that begin with its arguments.
namespace musaic {

// How many arguments it has.
inline constexpr int kExpertsFp8Inputs = 13;

std::vector<FakeOutput> fake_experts_fp8(const FakeCall& call);
std::vector<Value> decompose_experts_fp8(GraphBuilder& builder, std::span<const Value> inputs,
                                         const Attributes& attributes);
void cost_experts_fp8(const CostQuery& query, CallCost& cost);

}  // namespace musaic
