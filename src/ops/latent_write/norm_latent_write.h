#pragma once

#include "ops/latent_write/latent_write.h"

namespace musaic {

// musaic::norm_latent_write. rope_latent_write of a latent that rms_norm(latent, norm_weight, eps) has
// normed, with the same bits; returns the new {query, cache}. norm_weight [rank] is f32, f16 or bf16. Defined
// where GPU kernels are.
std::pair<Value, Value> norm_latent_write(const RopeLatentWriteArguments& arguments, Value norm_weight,
                                          double eps);

void define_norm_latent_write(OpRegistry& registry);
void add_norm_latent_write_gpu(OpRegistry& registry);

}  // namespace musaic
