#include "ops/view/view.h"

#include "base/status.h"
#include "ops/fake_checks.h"
#include "ops/op_samples.h"

namespace musaic {
namespace {

std::vector<FakeOutput> fake_slice(const FakeCall& call) {
  const Meta& x = call.input(0);
  const int64_t axis = call.attributes.get_int("dim");
  const int64_t begin = call.attributes.get_int("start");
  const int64_t end = call.attributes.get_int("end");
  if (axis < 0 || axis >= x.rank()) fail_load("aten::slice: dim {} of {}", axis, to_string(x));
  const Dim& size = x.shape[axis];
  if (begin < 0 || end < begin || (size.is_constant() && end > size.constant())) {
    fail_load("aten::slice: [{}, {}) does not fit dimension {} of {}", begin, end, axis, to_string(x));
  }
  FakeOutput out{.meta = x, .view_of = 0, .view_offset = x.strides[axis] * Dim(begin)};
  out.meta.shape[axis] = end - begin;
  return {out};
}

std::vector<FakeOutput> fake_unflatten(const FakeCall& call) {
  const Meta& x = call.input(0);
  const int64_t inner = call.attributes.get_int("inner");
  expect_dense_rows(call, 0);
  if (!x.dim(-1).is_constant() || inner <= 0 || x.dim(-1).constant() % inner != 0) {
    fail_load("aten::unflatten: the last dimension of {} is no multiple of {}", to_string(x), inner);
  }
  FakeOutput out{.meta = x, .view_of = 0};
  out.meta.shape.back() = x.dim(-1).constant() / inner;
  out.meta.shape.push_back(inner);
  out.meta.strides.back() = inner;
  out.meta.strides.push_back(1);
  return {out};
}

std::vector<FakeOutput> fake_flatten(const FakeCall& call) {
  const Meta& x = call.input(0);
  if (x.rank() < 2 || !(x.strides[x.rank() - 2] == x.dim(-1)) || !x.has_dense_rows()) {
    fail_load("aten::flatten: the last two dimensions of {} do not lie densely", to_string(x));
  }
  FakeOutput out{.meta = x, .view_of = 0};
  const Dim inner = x.dim(-1);
  out.meta.shape.pop_back();
  out.meta.shape.back() = out.meta.shape.back() * inner;
  out.meta.strides.pop_back();
  out.meta.strides.back() = 1;
  return {out};
}

}  // namespace

Value split_last_dim(Value x, int64_t inner) {
  return x.builder().call("aten::unflatten", {x}, {{"inner", inner}})[0];
}
Value merge_last_dims(Value x) {
  return x.builder().call("aten::flatten", {x})[0];
}

Value slice(Value x, int axis, int64_t begin, int64_t end) {
  return x.builder().call("aten::slice", {x}, {{"dim", int64_t{axis}}, {"start", begin}, {"end", end}})[0];
}

void define_view(OpRegistry& registry) {
  registry.define("aten::slice(Tensor(a) x, int dim, int start, int end) -> Tensor(a)",
                  {.schema = {}, .fake = fake_slice, .samples = slice_samples, .is_view = true});
  registry.define("aten::unflatten(Tensor(a) x, int inner) -> Tensor(a)",
                  {.schema = {}, .fake = fake_unflatten, .samples = unflatten_samples, .is_view = true});
  registry.define("aten::flatten(Tensor(a) x) -> Tensor(a)",
                  {.schema = {}, .fake = fake_flatten, .samples = flatten_samples, .is_view = true});
}

}  // namespace musaic
