#pragma once

#include "ops/fake_checks.h"

namespace musaic {

// Where the rows of every expert begin and how many there are, at `start` and behind it.
inline void expect_expert_rows(const FakeCall& call, int start) {
  for (int input : {start, start + 1}) {
    expect_rank(call, input, 1);
    expect_dtype(call, input, DType::kI32);
    expect_contiguous(call, input);
  }
  expect_dim(call, start + 1, 0, call.input(start).dim(0));
}

// The same, and the token of every row, which may be absent.
inline void expect_groups(const FakeCall& call, int row_token, int start) {
  expect_expert_rows(call, start);
  if (!call.has(row_token)) return;
  expect_rank(call, row_token, 1);
  expect_dtype(call, row_token, DType::kI32);
  expect_contiguous(call, row_token);
}

}  // namespace musaic
