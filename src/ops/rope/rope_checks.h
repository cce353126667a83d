#pragma once

#include "ir/op.h"

namespace musaic {

// The checks that every op with rotations shares: `x` holds whole heads of head_dim, cos_sin fits them.
void expect_heads(const FakeCall& call, int x, int64_t head_dim);
void expect_cos_sin(const FakeCall& call, int cos_sin, const Dim& tokens, int64_t head_dim);

inline constexpr double kRopeOps = 3.0;  // a value: two products and their sum

}  // namespace musaic
