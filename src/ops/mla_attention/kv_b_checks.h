#pragma once

#include "ops/linear_fp8/fp8_checks.h"

namespace musaic {

// The projection from latents to keys and values, [heads · (nope + v), rank], with its FP8 scales behind it.
// Returns nope + v.
inline int64_t expect_kv_b(const FakeCall& call, int kv_b, int64_t heads) {
  const Meta& weight = call.input(kv_b);
  expect_rank(call, kv_b, 2);
  expect_contiguous(call, kv_b);
  const int64_t rows = constant_dim(call, kv_b, 0);
  if (heads <= 0 || rows % heads != 0)
    fail_argument(call, kv_b, fmt::format("rows of {} whole heads", heads));
  const bool is_fp8 = weight.dtype == DType::kF8E4M3;
  if (!is_fp8) expect_float(call, kv_b);
  if (is_fp8 != call.has(kv_b + 1)) fail_argument(call, kv_b, "scales with FP8, and only then");
  if (is_fp8) {
    expect_dtype(call, kv_b + 1, DType::kF32);
    expect_shape(call, kv_b + 1, {fp8_blocks(weight.dim(0)), fp8_blocks(weight.dim(1))});
    expect_contiguous(call, kv_b + 1);
  }
  return rows / heads;
}

}  // namespace musaic
