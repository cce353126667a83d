#pragma once

#include "ops/experts_fp8/experts_fp8.h"
#include "ops/moe_combine/combine_norm_fp8.h"

namespace musaic {

// musaic::experts_norm_quant_fp8. moe_combine_norm_quant_fp8 of what experts_fp8 gives: the results of the
// experts may be rounded to bf16 on their way. Defined where GPU kernels are. Pad rows are neither read nor
// written.
//   sum  without x and addend; token_row and weights are of the routing that grouped the rows
CombinedNormFp8 experts_norm_quant_fp8(const Fp8Rows& x, const ExpertRows& groups,
                                       const ExpertWeights& gate_up, const ExpertWeights& down,
                                       const CombineNormArguments& sum);

void define_experts_norm_fp8(OpRegistry& registry);

}  // namespace musaic
