#pragma once

#include "ops/linear_fp8/linear_fp8.h"
#include "ops/moe_route/moe_route.h"

namespace musaic {

// Linears of experts over rows grouped by moe_route: a row of expert e meets weight e. Rows of no expert are
// neither read nor written, and an expert without rows is not read. A row's result does not depend on the
// other rows.
//   weight  [experts, n, k]  contiguous
//   result  [rows, n]  f32, one for each of `groups.row_token`

// musaic::grouped_linear. x f32, dense rows: [tokens, k] with `by_token`, the row of a grouped row's token;
// else [rows, k], grouped. The weight is f32, f16 or bf16.
Value grouped_linear(Value x, const ExpertRows& groups, bool by_token, Value weight);

// musaic::grouped_linear_fp8. The same of rows in FP8, with a scale for each block of 128 × 128 of a weight
// as in musaic::linear_fp8. A weight may be `parts` equal ones, one below the other, each with blocks of its
// own:
//   weight_scale  [experts, parts · ceil(n / parts / 128), ceil(k / 128)]  f32
Value grouped_linear_fp8(const Fp8Rows& x, const ExpertRows& groups, bool by_token, Value weight,
                         Value weight_scale, int parts = 1);

void define_grouped_linear(OpRegistry& registry);
void add_grouped_linear_cpu(OpRegistry& registry);
void add_grouped_linear_gpu(OpRegistry& registry);

}  // namespace musaic
