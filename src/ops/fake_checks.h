#pragma once

#include "ir/op.h"

namespace musaic {

// Checks of a fake kernel's arguments; each throws LoadError as "op: argument has ..., expected ...".
void expect_float(const FakeCall& call, int input);   // f32, f16 or bf16
void expect_cached(const FakeCall& call, int input);  // a float, or f8e4m3
void expect_dtype(const FakeCall& call, int input, DType dtype);
void expect_rank(const FakeCall& call, int input, int rank);
void expect_shape(const FakeCall& call, int input, const DimShape& shape);
void expect_dim(const FakeCall& call, int input, int axis, const Dim& dim);
void expect_dense_rows(const FakeCall& call, int input);  // at least 1 dimension too
void expect_contiguous(const FakeCall& call, int input);
// A dimension that must be a number, such as a head's width.
int64_t constant_dim(const FakeCall& call, int input, int axis);

// For checks of a fake's own: "op: argument is f32[...], expected <expected>".
[[noreturn]] void fail_argument(const FakeCall& call, int input, const std::string& expected);

// The argument's schema name, for messages of a fake's own.
std::string argument_name(const FakeCall& call, int input);

}  // namespace musaic
