#pragma once

#include "ops/latent_write/latent_write.h"

namespace musaic {

// musaic::norm_latent_write. rope_latent_write of a latent that rms_norm(latent, norm_weight, eps) has
// normed, with the same bits; returns the new {query, cache}. norm_weight [rank] is f32, f16 or bf16. Defined
// where GPU kernels are.
std::pair<Value, Value> norm_latent_write(const RopeLatentWriteArguments& arguments, Value norm_weight,
                                          double eps);

// For ops whose first arguments are its: the checks, the cost and the decomposition of these.
void expect_norm_latent_write(const FakeCall& call);
void cost_norm_latent_write(const CostQuery& query, CallCost& cost);
std::vector<Value> decompose_norm_latent_write(GraphBuilder& builder, std::span<const Value> inputs,
                                               const Attributes& attributes);

void define_norm_latent_write(OpRegistry& registry);
void add_norm_latent_write_gpu(OpRegistry& registry);

}  // namespace musaic
