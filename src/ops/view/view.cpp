#include "ops/view/view.h"

#include "base/status.h"
#include "ops/fake_checks.h"

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

}  // namespace

Value slice(Value x, int axis, int64_t begin, int64_t end) {
  return x.builder().call("aten::slice", {x}, {{"dim", int64_t{axis}}, {"start", begin}, {"end", end}})[0];
}

void define_view(OpRegistry& registry) {
  registry.define("aten::slice(Tensor(a) x, int dim, int start, int end) -> Tensor(a)",
                  {.schema = {}, .fake = fake_slice, .is_view = true});
}

}  // namespace musaic
