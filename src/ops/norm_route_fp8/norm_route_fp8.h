#pragma once

namespace musaic {

class OpRegistry;

// musaic::add_norm_route_fp8. add_rms_norm_quant_fp8, the router's linear of the normed rows, and
// moe_gate_route of what that gives; the sums may have another order than those of its parts. x stays as it
// is: nobody else reads the normed rows. Defined where GPU kernels are.
//   x            [tokens, k]  f32, dense rows
//   residual     like x; becomes x + residual
//   norm_weight  [k]  f32, f16 or bf16
//   router       [experts, k]  bf16
//   results      the normed rows in FP8, q [tokens, k] and scales [tokens, ceil(k / 128)]; weights [tokens,
//                top_k]; row_token, token_row, start and count of ExpertRows
// Pad rows are neither read nor written, and choose nothing.
void define_norm_route_fp8(OpRegistry& registry);

}  // namespace musaic
