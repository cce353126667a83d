#pragma once

#include "ir/builder.h"

namespace musaic {

// aten::slice. Values [begin, end) along `axis`: an address inside x, no copy and no kernel.
Value slice(Value x, int axis, int64_t begin, int64_t end);

// aten::unflatten of the last dimension: [..., n] → [..., n / inner, inner]. No copy.
Value split_last_dim(Value x, int64_t inner);

// aten::flatten of the last two dimensions: [..., a, b] → [..., a · b]. REQUIRES: they lie densely. No copy.
Value merge_last_dims(Value x);

void define_view(OpRegistry& registry);

}  // namespace musaic
