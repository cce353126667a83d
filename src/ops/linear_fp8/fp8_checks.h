#pragma once

#include "ops/fake_checks.h"

namespace musaic {

inline Dim fp8_blocks(const Dim& values) {
  return ceil_div(values, 128);
}

// Rows in FP8 at `q`, their scales behind.
inline void expect_fp8_rows(const FakeCall& call, int q) {
  expect_rank(call, q, 2);
  expect_dtype(call, q, DType::kF8E4M3);
  expect_contiguous(call, q);
  expect_dtype(call, q + 1, DType::kF32);
  expect_shape(call, q + 1, {call.input(q).dim(0), fp8_blocks(call.input(q).dim(1))});
  expect_contiguous(call, q + 1);
}

}  // namespace musaic
