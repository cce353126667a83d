#include "ops/empty/empty.h"

#include "base/status.h"
#include "ops/fake_checks.h"
#include "ops/op_samples.h"

namespace musaic {
namespace {

std::vector<FakeOutput> fake_empty_rows(const FakeCall& call) {
  const Meta& like = call.input(0);
  if (like.rank() == 0) fail_argument(call, 0, "at least 1 dimension");
  const auto dtype = parse_dtype(call.attributes.get_string("dtype"));
  const int64_t width = call.attributes.get_int("width");
  if (!dtype || is_block_quantized(*dtype))
    fail_load("musaic::empty_rows: dtype is {}, expected a plain type", call.attributes.get_string("dtype"));
  if (width <= 0) fail_load("musaic::empty_rows: width is {}, expected at least 1", width);
  return {{Meta::contiguous(*dtype, {like.dim(0), width}, like.device)}};
}

void cost_empty_rows(const CostQuery&, CallCost& cost) {
  cost.float_ops = 0.0;
  cost.read[0] = 0.0;
}

}  // namespace

Value empty_rows(Value like, int64_t width, DType dtype) {
  return like.builder().call("musaic::empty_rows", {like},
                             {{"width", width}, {"dtype", std::string(name(dtype))}})[0];
}

Value empty_rows_of(Value x, int64_t width, DType dtype) {
  const auto& values = x.builder().graph().values;
  for (size_t i = 0; i < values.size(); ++i) {
    const Meta& meta = values[i].meta;
    if (values[i].kind == ValueKind::kInput && meta.rank() > 0 && meta.dim(0) == x.dim(0))
      return empty_rows(Value(&x.builder(), static_cast<ValueId>(i)), width, dtype);
  }
  return empty_rows(x, width, dtype);
}

void define_empty(OpRegistry& registry) {
  registry.define(
      "musaic::empty_rows(Tensor like, int width, str dtype) -> Tensor",
      {.schema = {}, .fake = fake_empty_rows, .samples = empty_rows_samples, .cost = cost_empty_rows});
}

}  // namespace musaic
