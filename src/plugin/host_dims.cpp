#include "plugin/abi_meta.h"
#include "plugin/context.h"
#include "plugin/host_functions.h"

namespace musaic {
namespace {

bool traces(const MusaicContext& context) {
  return context.kind == CallbackKind::kFake || context.kind == CallbackKind::kQuery;
}

const MusaicDim* keep(MusaicContext& context, Dim dim) {
  return to_abi(context.dims.emplace_back(std::move(dim)));
}

const MusaicDim* number(MusaicContext* context, int64_t value) {
  if (traces(*context)) return keep(*context, Dim(value));
  context->fail("dim: there are none but in fakes, predicates and workspace sizes");
  return nullptr;
}

// The quotient's divisor must be a number: a count of rows may be 0.
bool divides(const Dim& divisor) {
  return divisor.is_constant() && divisor.constant() > 0;
}

const MusaicDim* combine(MusaicContext* context, MusaicDimOperation operation, const MusaicDim* left,
                         const MusaicDim* right) {
  if (left == nullptr || right == nullptr) return nullptr;
  const Dim& a = from_abi(*left);
  const Dim& b = from_abi(*right);
  const bool is_division = operation == MUSAIC_DIM_CEIL_DIVIDE || operation == MUSAIC_DIM_ROUND_UP;
  if (is_division && !divides(b)) {
    context->fail(fmt::format("combine_dims: {} by {}, expected a number above 0",
                              operation == MUSAIC_DIM_ROUND_UP ? "rounding up" : "division", to_string(b)));
    return nullptr;
  }
  switch (operation) {
    case MUSAIC_DIM_ADD:
      return keep(*context, a + b);
    case MUSAIC_DIM_SUBTRACT:
      return keep(*context, a - b);
    case MUSAIC_DIM_MULTIPLY:
      return keep(*context, a * b);
    case MUSAIC_DIM_CEIL_DIVIDE:
      return keep(*context, ceil_div(a, b));
    case MUSAIC_DIM_ROUND_UP:
      return keep(*context, round_up(a, b));
    case MUSAIC_DIM_MINIMUM:
      return keep(*context, min(a, b));
    default:
      context->fail(fmt::format("combine_dims: there is no operation {}", operation));
      return nullptr;
  }
}

int32_t is_number(const MusaicDim* dim, int64_t* value) {
  if (dim == nullptr || !from_abi(*dim).is_constant()) return 0;
  *value = from_abi(*dim).constant();
  return 1;
}

int32_t are_equal(const MusaicDim* a, const MusaicDim* b) {
  return a != nullptr && b != nullptr && from_abi(*a) == from_abi(*b) ? 1 : 0;
}

const char* text(MusaicContext* context, const MusaicDim* dim) {
  if (dim == nullptr) return "nothing";
  return context->texts.emplace_back(to_string(from_abi(*dim))).c_str();
}

}  // namespace

void add_dim_functions(MusaicHost& host) {
  host.dim = number;
  host.combine_dims = combine;
  host.dim_is_number = is_number;
  host.dims_are_equal = are_equal;
  host.dim_text = text;
}

}  // namespace musaic
