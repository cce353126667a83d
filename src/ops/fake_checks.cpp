#include "ops/fake_checks.h"

#include "base/status.h"

namespace musaic {

void fail_argument(const FakeCall& call, int input, const std::string& expected) {
  fail_load("{}: {} is {}, expected {}", call.schema.name, argument_name(call, input),
            to_string(call.input(input)), expected);
}

int64_t constant_dim(const FakeCall& call, int input, int axis) {
  const Dim& dim = call.input(input).dim(axis);
  if (!dim.is_constant()) fail_argument(call, input, fmt::format("a number as dimension {}", axis));
  return dim.constant();
}

std::string argument_name(const FakeCall& call, int input) {
  return call.schema.tensors()[input]->name;
}

void expect_float(const FakeCall& call, int input) {
  const DType dtype = call.input(input).dtype;
  if (dtype != DType::kF32 && dtype != DType::kF16 && dtype != DType::kBF16)
    fail_argument(call, input, "f32, f16 or bf16");
}

void expect_cached(const FakeCall& call, int input) {
  if (call.input(input).dtype != DType::kF8E4M3) expect_float(call, input);
}

void expect_dtype(const FakeCall& call, int input, DType dtype) {
  if (call.input(input).dtype != dtype) fail_argument(call, input, std::string(name(dtype)));
}

void expect_rank(const FakeCall& call, int input, int rank) {
  if (call.input(input).rank() != rank) fail_argument(call, input, fmt::format("{} dimensions", rank));
}

void expect_shape(const FakeCall& call, int input, const DimShape& shape) {
  if (call.input(input).shape != shape) fail_argument(call, input, "shape " + to_string(shape));
}

void expect_dim(const FakeCall& call, int input, int axis, const Dim& dim) {
  if (!(call.input(input).dim(axis) == dim))
    fail_argument(call, input, fmt::format("dimension {} = {}", axis, to_string(dim)));
}

void expect_dense_rows(const FakeCall& call, int input) {
  if (call.input(input).rank() == 0) fail_argument(call, input, "at least 1 dimension");
  if (!call.input(input).has_dense_rows()) fail_argument(call, input, "stride 1 along the last dimension");
}

void expect_contiguous(const FakeCall& call, int input) {
  if (!call.input(input).is_contiguous()) fail_argument(call, input, "a contiguous tensor");
}

}  // namespace musaic
