#pragma once

#include "ops/linear_fp8/linear_fp8.h"
#include "ops/moe_route/moe_route.h"

namespace musaic {

// The linears of routed experts and those of the shared ones, which every row meets, two at a time; defined
// where GPU kernels are. Grouped rows as for musaic::grouped_linear_fp8, weights and their scales too; rows
// of no expert and pad rows are neither read nor written.

struct ExpertWeights {
  Value routed;        // [experts, n, k]  f8e4m3
  Value routed_scale;  // f32
  Value shared;        // [n', k']  f8e4m3
  Value shared_scale;  // [ceil(n' / 128), ceil(k' / 128)]  f32
};

struct ExpertRowsFp8 {
  Fp8Rows routed;  // grouped: one for each of `groups.row_token`
  Fp8Rows shared;  // [tokens, ..]
};

struct ExpertResults {
  Value routed;  // [rows, n]  f32, grouped
  Value shared;  // [tokens, n']  f32
};

// musaic::experts_gate_up_fp8. SwiGLU of x's rows, quantized as sgl_per_token_group_quant_8bit_v2 does for
// groups of 128: grouped_swiglu_quant_fp8(grouped_linear_fp8(x, parts = 2)) and the same of linear_fp8.
//   x        [tokens, k], FP8
//   weights  with the gate's rows first, the up projection's behind: n = 2 · d, n' = 2 · d', where d and d'
//            are multiples of 128; k' = k
//   result   [rows, d] and [tokens, d']
ExpertRowsFp8 experts_gate_up_fp8(const Fp8Rows& x, const ExpertRows& groups, const ExpertWeights& weights);

// musaic::experts_down_fp8. grouped_linear_fp8 and linear_fp8 of what experts_gate_up_fp8 gave. REQUIRES: the
// rows were computed of `groups`, so that these were there first.
ExpertResults experts_down_fp8(const ExpertRowsFp8& x, const ExpertRows& groups,
                               const ExpertWeights& weights);
// Its inputs.
namespace experts_down {
enum Input {
  kQ,
  kScale,
  kStart,
  kCount,
  kWeight,
  kWeightScale,
  kSharedQ,
  kSharedRowScale,
  kShared,
  kSharedScale
};
}  // namespace experts_down

// musaic::experts_fp8. experts_down_fp8 of experts_gate_up_fp8. REQUIRES: n = n' of `down`.
ExpertResults experts_fp8(const Fp8Rows& x, const ExpertRows& groups, const ExpertWeights& gate_up,
                          const ExpertWeights& down);

void define_experts_fp8(OpRegistry& registry);

}  // namespace musaic
