#include "ops/add/add.h"

#include "ops/fake_checks.h"
#include "ops/op_samples.h"

namespace musaic {
namespace {

std::vector<FakeOutput> fake_add(const FakeCall& call) {
  const Meta& x = call.input(0);
  expect_float(call, 0);
  expect_dense_rows(call, 0);
  expect_dense_rows(call, 1);
  expect_shape(call, 1, x.shape);
  return {{Meta::contiguous(x.dtype, x.shape, x.device)}};
}

}  // namespace

Value add(Value x, Value y) {
  return x.builder().call("aten::add", {x, y})[0];
}

void define_add(OpRegistry& registry) {
  registry.define("aten::add(Tensor x, Tensor y) -> Tensor",
                  {.schema = {}, .fake = fake_add, .samples = add_samples});
}

}  // namespace musaic
